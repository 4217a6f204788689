package simulation

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
)

// errLost is what a caller gets whose request or answer was lost.
var errLost = errors.New("connection reset")

// verb is a kind of choice.
type verb int

// What the scheduler may choose.
const (
	// goOn has a call take effect and be answered.
	goOn verb = iota
	deliver
	place
	cancel
	// arrive has a request arrive that nobody waits for any more.
	arrive
	// Faults.
	fail     // a call never arrives
	lose     // a call takes effect, and its answer is lost
	die      // a process dies before its call takes effect
	dieAfter // and after it
	dieUnder // and before it, but the request is under way and may arrive yet
	vanish   // an event is lost: Kafka lost it, or it ran out of retries
	twice    // an event is delivered once more
	// Time.
	moment // as long as it takes to note what is published
	long   // longer than a call may take
	sweep  // long enough for order-recovery to send again what isn't published
)

// choice is one thing that may happen next.
type choice struct {
	verb    verb
	call    *call
	message *message
	order   *order
	late    *request
}

func (c choice) fault() bool { return c.verb >= fail && c.verb <= twice }

// String tells the choice as a line of a story, which also finds it again.
func (w *world) tell(c choice) string {
	switch c.verb {
	case goOn:
		return fmt.Sprintf("%s: %s", c.call.thread.label, c.call.what)
	case fail:
		return fmt.Sprintf("%s: %s FAILS", c.call.thread.label, c.call.what)
	case lose:
		return fmt.Sprintf("%s: %s is done, but its ANSWER IS LOST", c.call.thread.label, c.call.what)
	case die:
		return fmt.Sprintf("%s: its process DIES before %s", c.call.thread.label, c.call.what)
	case dieAfter:
		return fmt.Sprintf("%s: its process DIES after %s", c.call.thread.label, c.call.what)
	case dieUnder:
		return fmt.Sprintf("%s: its process DIES while %s is under way", c.call.thread.label, c.call.what)
	case deliver:
		return fmt.Sprintf("%s is delivered to %s", c.message.name(w), c.message.reader)
	case vanish:
		return fmt.Sprintf("%s is LOST on its way to %s", c.message.name(w), c.message.reader)
	case twice:
		return fmt.Sprintf("%s will come to %s TWICE", c.message.name(w), c.message.reader)
	case place:
		return fmt.Sprintf("the customer places order %d", c.order.number)
	case cancel:
		return fmt.Sprintf("the customer cancels order %d", c.order.number)
	case arrive:
		return fmt.Sprintf("what %s asked arrives LATE: %s", c.late.process, c.late.what)
	case moment:
		return "20 milliseconds pass"
	case long:
		return "6 seconds pass"
	default:
		return "40 seconds pass, and order-recovery is called"
	}
}

// do makes a choice happen.
func (w *world) do(c choice) {
	w.step++
	if c.fault() {
		w.faults++
	}
	if w.trace != nil {
		w.trace(w.tell(c))
	}
	switch c.verb {
	case goOn:
		w.letGo(c.call, nil)
	case fail:
		w.answer(c.call, errLost)
	case lose:
		w.letGo(c.call, errLost)
	case die, dieAfter, dieUnder:
		w.crash(c)
	case deliver:
		w.deliver(c.message)
	case vanish:
		w.broker.take(c.message)
	case twice:
		again := *c.message
		c.message.copied, again.copied = true, true
		w.broker.queue = append(w.broker.queue, &again)
	case place:
		w.place(c.order)
	case cancel:
		w.cancel(c.order)
	case arrive:
		w.broker.late = slices.DeleteFunc(w.broker.late, func(r *request) bool { return r == c.late })
		c.late.attempt()
	case moment:
		w.pass(20 * time.Millisecond)
	case long:
		w.pass(6 * time.Second)
	case sweep:
		w.pass(40 * time.Second)
		w.sweep()
	}
}

func (w *world) crash(c choice) {
	switch c.verb {
	case dieAfter:
		w.takeEffect(c.call)
	case dieUnder:
		w.broker.late = append(w.broker.late, &request{c.call.what, c.call.thread.process.name, c.call.attempt})
	}
	w.kill(c.call.thread.process)
}

// overHTTP tells a call that may arrive when its process is gone. A statement of
// Postgres goes with its connection.
func (c *call) overHTTP() bool {
	return strings.HasSuffix(c.what, "at the provider") || strings.HasSuffix(c.what, "the label") || c.toSink()
}

func (c *call) toSink() bool { return strings.HasSuffix(c.what, "to its sink") }

// waiting lists the calls that can go on, oldest first.
func (w *world) waiting() []*call {
	var calls []*call
	for _, t := range w.threads {
		for _, c := range t.calls {
			if !c.blocked {
				calls = append(calls, c)
			}
		}
	}
	for _, name := range functions {
		p := w.processes[name]
		if p == nil {
			continue
		}
		for _, c := range p.notes.calls {
			if !c.blocked {
				calls = append(calls, c)
			}
		}
	}
	return calls
}

// byDefault is what happens when nothing goes wrong and all is done in turn; false
// when there is nothing to be done.
func (w *world) byDefault() (choice, bool) {
	if calls := w.waiting(); len(calls) > 0 {
		return choice{verb: goOn, call: calls[0]}, true
	}
	if len(w.broker.late) > 0 {
		return choice{verb: arrive, late: w.broker.late[0]}, true
	}
	if len(w.broker.queue) > 0 {
		return choice{verb: deliver, message: w.broker.queue[0]}, true
	}
	for _, o := range w.orders {
		switch {
		case !o.answered && !o.placing:
			return choice{verb: place, order: o}, true
		case o.mayCancel():
			return choice{verb: cancel, order: o}, true
		}
	}
	return choice{}, false
}

func (o *order) mayCancel() bool {
	return o.wish.cancels && o.answered && !o.cancelled && !o.canceling
}

func readersOf(event string) []string {
	entry, _ := events.ByName(event)
	return entry.ReadBy
}

// mix adds to the memory of what a thread was told.
func mix(told uint64, what string, err error, saw string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, told, what, err != nil, saw)
	return h.Sum64()
}

func compareText(a, b string) int { return strings.Compare(a, b) }
