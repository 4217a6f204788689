package simulation

import "time"

const (
	// maxSteps is more than a world needs by far, even when all goes wrong.
	maxSteps = 30_000
	// maxSweeps is how often order-recovery is called before a world that still
	// isn't at rest is taken for one that never will be.
	maxSweeps = 40
)

// rest lets all go on without a fault until there is nothing left to do. Every
// order is settled then.
func (w *world) rest() {
	for range maxSweeps {
		w.goOn()
		if w.failure != nil {
			return
		}
		w.pass(20 * time.Millisecond) // for what is published to be noted
		w.goOn()
		if w.settled() {
			w.checkAtRest()
			return
		}
		// Longer than a KafkaSource tries by itself, and than the longest backoff.
		w.pass(61 * time.Minute)
		w.goOn()
		if w.failure == nil {
			w.sweep()
		}
	}
	w.failf("rest", "after %d sweeps of order-recovery not all is done: %s", maxSweeps, w.unsettled())
}

// outage has order-recovery sweep while no sink takes anything.
func (w *world) outage() {
	for range 2 {
		w.do(choice{verb: sweep})
		for calls := w.waiting(); len(calls) > 0 && w.failure == nil; calls = w.waiting() {
			c := choice{verb: goOn, call: calls[0]}
			if c.call.toSink() {
				c.verb = fail
			}
			w.do(c)
		}
	}
}

func (w *world) goOn() {
	for w.failure == nil {
		next, more := w.byDefault()
		if !more {
			if len(w.threads) == 0 {
				return
			}
			w.pass(30 * time.Second) // somebody waits for a time to be up
			continue
		}
		w.do(next)
		if w.step > maxSteps {
			w.failf("rest", "%d steps, and no end", w.step)
		}
	}
}

func (w *world) settled() bool {
	for _, o := range w.db.Tables().Orders {
		if o.SettledAt == nil {
			return false
		}
	}
	return true
}

func (w *world) unsettled() string {
	for _, o := range w.db.Tables().Orders {
		if o.SettledAt == nil {
			return w.nameOf(o.ID.String()) + " is " + o.Status
		}
	}
	return "nothing"
}
