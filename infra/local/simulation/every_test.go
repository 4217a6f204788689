package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	storefront "github.com/orderflow-project/orderflow/functions/storefront"
)

// flagSchedules bounds the search, which goes from the schedules that stray least
// from the straight one to those that stray most.
var flagSchedules = flag.Int("schedules", 60, "how many schedules of each kind of order to run at most; above 1000 with two faults too")

// budget bounds what goes wrong in one schedule.
type budget struct {
	// faults are deaths of processes and answers that are lost, copies are events that
	// come twice, losses those that don't come at all.
	faults, copies, losses int
}

func (b budget) less(c choice) budget {
	switch {
	case c.verb == twice:
		b.copies--
	case c.verb == vanish:
		b.losses--
	case c.fault():
		b.faults--
	}
	return b
}

// budgets are what goes wrong in one schedule, at every place that there is for it.
func budgets() []budget {
	if *flagSchedules > 1000 {
		return []budget{{faults: 2}, {faults: 1, copies: 1}, {faults: 1, losses: 1}, {copies: 1, losses: 1}}
	}
	return []budget{{faults: 1}, {copies: 1}, {losses: 1}}
}

// Every interleaving of one order's events, its calls and its customer, with
// processes that die or lose an answer after any of their calls, an event that comes
// twice and one that doesn't come. Steps that nobody else can see, as those within
// a transaction, aren't interleaved; nor is what order-analytics does. The log says
// whether there was time for all of them.
func TestEverySchedule(t *testing.T) { //nolint:tparallel // its parts use all cores each
	t.Parallel()
	for name, v := range map[string]struct {
		method  string
		stock   int64
		cancels bool
	}{
		"shipped":                     {method: "pm_card_visa", stock: 5},
		"cancelled by customer":       {method: "pm_card_visa", stock: 5, cancels: true},
		"declined":                    {method: "pm_card_visa_chargeDeclined", stock: 5},
		"declined, cancelled":         {method: "pm_card_visa_chargeDeclined", stock: 5, cancels: true},
		"out of stock":                {method: "pm_card_visa", stock: 1},
		"out of stock, cancelled":     {method: "pm_card_visa", stock: 1, cancels: true},
		"hold expired":                {method: "pm_card_authorisationExpires", stock: 5},
		"hold expired, cancelled":     {method: "pm_card_authorisationExpires", stock: 5, cancels: true},
		"capture declined":            {method: "pm_card_chargeCustomerFail", stock: 5},
		"capture declined, cancelled": {method: "pm_card_chargeCustomerFail", stock: 5, cancels: true},
	} {
		s := scenario{
			[]article{{"CUP", 1200, v.stock}},
			[]wish{{number: 1, method: v.method, cancels: v.cancels, lines: []storefront.Line{{SKU: "CUP", Quantity: 2}}}},
		}
		for _, allowed := range budgets() {
			t.Run(fmt.Sprintf("%s, %s", name, allowed), func(t *testing.T) {
				e := &explorer{t: t, scenario: s, allowed: allowed, seen: map[uint64]bool{}, left: [][]uint16{nil}}
				e.more = sync.NewCond(&e.mu)
				e.run()
				t.Logf("%d states by %d schedules, with %d different ends; %d schedules left", len(e.seen), e.schedules, e.ends, len(e.left))
			})
		}
	}
}

// String tells a budget as a part of a test's name.
func (b budget) String() string {
	return fmt.Sprintf("%d faults, %d copies, %d losses", b.faults, b.copies, b.losses)
}

// explorer goes through all schedules of a scenario, by running the world anew for
// each choice that wasn't made yet. A state that was seen isn't gone on from.
type explorer struct {
	t        *testing.T
	scenario scenario
	allowed  budget

	mu              sync.Mutex
	more            *sync.Cond
	seen            map[uint64]bool
	left            [][]uint16
	running         int
	schedules, ends int
	failed          bool
}

func (e *explorer) run() {
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for prefix := range e.work {
				e.follow(prefix)
			}
		})
	}
	workers.Wait()
}

// work hands out lists of choices until there can be no more.
func (e *explorer) work(yield func(prefix []uint16) bool) {
	for {
		e.mu.Lock()
		for len(e.left) == 0 && e.running > 0 && !e.failed {
			e.more.Wait()
		}
		if len(e.left) == 0 || e.failed || e.schedules == *flagSchedules {
			e.mu.Unlock()
			return
		}
		prefix := e.left[0]
		e.left = e.left[1:]
		e.running++
		e.schedules++
		e.mu.Unlock()
		if !yield(prefix) {
			return
		}
	}
}

// done says that a schedule was run, and has left what it will leave.
func (e *explorer) done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running--
	e.more.Broadcast()
}

// follow makes the choices of a prefix, and then the first one there is each time,
// until the end or a state that was seen. What else could have been chosen is left
// for later.
func (e *explorer) follow(prefix []uint16) {
	defer e.done() // also where a test that has failed ends this goroutine: others wait
	var failure *failure
	var story []string
	synctest.Test(e.t, func(*testing.T) {
		w := newWorld(e.scenario)
		w.explored = true
		w.trace = func(line string) { story = append(story, line) }
		defer w.end()
		spent, made := e.allowed, slices.Clone(prefix)
		for at := 0; w.failure == nil; at++ {
			w.forced()
			choices := w.choices(spent)
			if at < len(prefix) {
				c := choices[prefix[at]]
				spent = spent.less(c)
				w.do(c)
				continue
			}
			if w.failure != nil || !e.isNew(w.state(spent), made, len(choices)) {
				break
			}
			if len(choices) == 0 {
				w.rest()
				break
			}
			spent = spent.less(choices[0])
			made = append(made, 0)
			w.do(choices[0])
		}
		failure = w.failure
	})
	if failure != nil {
		e.report(failure, story)
	}
}

// isNew tells whether a state wasn't seen, and leaves its other choices for later.
func (e *explorer) isNew(state uint64, made []uint16, choices int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[state] {
		return false
	}
	e.seen[state] = true
	if choices == 0 {
		e.ends++
	}
	for other := 1; other < choices; other++ {
		e.left = append(e.left, append(slices.Clone(made), uint16(other)))
	}
	return true
}

func (e *explorer) report(found *failure, choices []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed {
		return
	}
	e.failed = true
	story := shorten(e.t, e.scenario, choices, found.kind)
	e.t.Errorf("%s: %s\nThe shortest story, of %d steps:\n  %s", found.kind, found.text, len(story.told), strings.Join(story.told, "\n  "))
}

// forced does what isn't a choice: placing the order, steps that nobody else can
// see, and what the readers do that move nothing.
func (w *world) forced() {
	for w.failure == nil {
		c, is := w.obvious()
		if !is {
			return
		}
		w.do(c)
	}
}

func (w *world) obvious() (choice, bool) {
	for _, c := range w.waiting() {
		if !c.visible() || c.thread.process.name == "order-analytics" {
			return choice{verb: goOn, call: c}, true
		}
	}
	for _, m := range w.broker.queue {
		if m.reader == standIn || m.reader == "order-analytics" {
			return choice{verb: deliver, message: m}, true
		}
	}
	for _, o := range w.orders {
		if !o.answered && !o.placing {
			return choice{verb: place, order: o}, true
		}
	}
	return choice{}, false
}

// visible tells a call that others can see the effect of, or that can see theirs.
func (c *call) visible() bool {
	return c.overHTTP() || slices.Contains([]string{"commit", "orderlog findStanding", "shipment-preparation Items"}, c.what)
}

// atOnce is how many threads there may be beside each other.
const atOnce = 3

// choices are what may happen next, within what may go wrong yet.
func (w *world) choices(left budget) []choice {
	var all []choice
	calls := w.waiting()
	for _, c := range calls {
		all = append(all, choice{verb: goOn, call: c})
	}
	for _, r := range w.broker.late {
		all = append(all, choice{verb: arrive, late: r})
	}
	for _, m := range w.broker.queue {
		if len(w.threads) < atOnce {
			all = append(all, choice{verb: deliver, message: m})
		}
		if left.copies > 0 && !m.copied {
			all = append(all, choice{verb: twice, message: m})
		}
		if left.losses > 0 {
			all = append(all, choice{verb: vanish, message: m})
		}
	}
	for _, o := range w.orders {
		if o.mayCancel() {
			all = append(all, choice{verb: cancel, order: o})
		}
	}
	for _, c := range calls {
		if left.faults == 0 {
			break
		}
		all = append(all, choice{verb: lose, call: c}, choice{verb: dieAfter, call: c})
		if c.overHTTP() {
			all = append(all, choice{verb: dieUnder, call: c})
		}
	}
	return all
}
