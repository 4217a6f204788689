package simulation

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	storefront "github.com/orderflow-project/orderflow/functions/storefront"
)

// ordersOfWorld is how many orders compete in one world.
const ordersOfWorld = 12

// drawn is a scenario of many orders for few units.
func drawn(random *rand.Rand) scenario {
	s := scenario{articles: []article{
		{"CUP", 1200, int64(random.IntN(12))}, {"POT", 4900, int64(3 + random.IntN(20))}, {"TEA", 790, 1000},
	}}
	methods := []string{
		"pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa",
		"pm_card_visa_chargeDeclined", "pm_card_chargeCustomerFail", "pm_card_authorisationExpires",
	}
	for i := range ordersOfWorld {
		w := wish{number: i + 1, method: methods[random.IntN(len(methods))], cancels: random.IntN(5) == 0}
		for _, n := range random.Perm(len(s.articles))[:1+random.IntN(len(s.articles))] {
			w.lines = append(w.lines, storefront.Line{SKU: s.articles[n].sku, Quantity: 1 + random.IntN(3)})
		}
		s.wishes = append(s.wishes, w)
	}
	return s
}

func drawnBy(seed uint64) scenario { return drawn(rand.New(rand.NewPCG(seed, 0))) }

// gambler chooses by chance.
type gambler struct {
	random *rand.Rand
	// faulty is how many choices of a hundred are faults.
	faulty int
	// outage says that for as long as there are faults half of what comes to sinks
	// fails, and that order-recovery finds no sink at its first sweeps.
	outage bool
}

// maxThreads is how much may be under way at once.
const maxThreads = 16

// choose draws what happens next.
func (g gambler) choose(w *world) choice {
	if g.random.IntN(100) < g.faulty {
		if c, may := g.fault(w); may {
			return c
		}
	}
	if g.random.IntN(40) == 0 {
		return choice{verb: moment}
	}
	var choices []choice
	for _, c := range w.waiting() {
		choices = append(choices, choice{verb: goOn, call: c})
	}
	if len(w.threads) < maxThreads {
		for _, m := range w.broker.queue {
			choices = append(choices, choice{verb: deliver, message: m})
		}
		choices = append(choices, g.customers(w)...)
	}
	if len(choices) == 0 {
		return choice{verb: sweep}
	}
	chosen := choices[g.random.IntN(len(choices))]
	if g.outage && chosen.verb == goOn && chosen.call.toSink() && g.random.IntN(2) == 0 {
		chosen.verb = fail
	}
	return chosen
}

func (g gambler) customers(w *world) []choice {
	var choices []choice
	for _, o := range w.orders {
		if o.mayCancel() {
			choices = append(choices, choice{verb: cancel, order: o})
		}
		if !o.answered && !o.placing {
			choices = append(choices, choice{verb: place, order: o})
			break // one at a time
		}
	}
	return choices
}

// fault draws what goes wrong, if there is anything that can.
func (g gambler) fault(w *world) (choice, bool) {
	calls, queue, late := w.waiting(), w.broker.queue, w.broker.late
	switch kind := g.random.IntN(20); {
	case kind < 3 && len(late) > 0:
		return choice{verb: arrive, late: late[g.random.IntN(len(late))]}, true
	case kind < 13 && len(calls) > 0:
		c := calls[g.random.IntN(len(calls))]
		verb := []verb{fail, lose, die, dieAfter, dieUnder}[g.random.IntN(5)]
		if verb == dieUnder && !c.overHTTP() {
			verb = dieAfter
		}
		return choice{verb: verb, call: c}, true
	case kind < 17 && len(queue) > 0:
		return choice{verb: twice, message: queue[g.random.IntN(len(queue))]}, true
	case kind < 18 && len(queue) > 0:
		return choice{verb: vanish, message: queue[g.random.IntN(len(queue))]}, true
	case kind == 18:
		return choice{verb: long}, true
	case kind == 19:
		return choice{verb: sweep}, true
	}
	return choice{}, false
}

// outcome is what became of a world.
type outcome struct {
	failure *failure
	// steps and faults are how many turns were given, and how many of them were faults.
	steps, faults int
}

// play runs the world of a seed from beginning to end. The bubble is a test of its
// own, and ends with it.
func play(t *testing.T, seed uint64, trace func(string)) outcome {
	var out outcome
	synctest.Test(t, func(*testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(drawn(random))
		w.trace = trace
		defer w.end()
		g := gambler{random, random.IntN(8), random.IntN(6) == 0}
		for range ordersOfWorld * 80 {
			if w.failure != nil {
				break
			}
			w.do(g.choose(w))
		}
		if g.outage {
			w.outage()
		}
		if w.failure == nil {
			w.rest()
		}
		out = outcome{failure: w.failure, steps: w.step, faults: w.faults}
	})
	return out
}
