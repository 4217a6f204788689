package simulation

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
)

// failure is the first thing that went wrong in a world.
type failure struct{ kind, text string }

func (w *world) failf(kind, format string, args ...any) {
	if w.failure == nil {
		w.failure = &failure{kind, fmt.Sprintf(format, args...)}
		if w.trace != nil {
			w.trace("VIOLATION (" + kind + "): " + w.failure.text)
		}
	}
}

// nameOf tells an order by its number: ids differ from run to run.
func (w *world) nameOf(order string) string {
	if id, err := uuid.Parse(order); err == nil && w.number[id] > 0 {
		return fmt.Sprintf("order %d", w.number[id])
	}
	return "an order that nobody placed"
}

// watch sees every statement, and holds each move of an order to the table of
// transitions when it is committed.
func (w *world) watch(op memdb.Op) {
	if op.Name == "storefront InsertOrder" && op.Err == nil {
		var number int
		fmt.Sscanf(op.Args[6].(string), "customer-%d@", &number)
		w.number[op.Args[0].(uuid.UUID)] = number
		w.drawnNumber = op.Args[1].(string)
	}
	if op.Name == "attempt Begin" && op.Err == nil {
		w.acting.begun = w.beginning(op)
	}
	if w.explored && op.Kind == "statement" {
		w.saw += w.plainly(told(op))
	}
	if op.Kind != "commit" {
		return
	}
	for id := range w.number {
		o, there := w.db.Order(id)
		before, now := w.status[id], events.Status(o.Status)
		switch {
		case !there || before == now:
			continue
		case before == "" && now != events.StatusPlaced, before != "" && !events.CanMove(before, now):
			w.failf("move", "%s goes from %q to %q", w.nameOf(id.String()), before, now)
		}
		w.status[id] = now
	}
}

// checkPublished holds what comes to a sink against what is committed.
func (w *world) checkPublished(name, order string, body []byte) {
	id, err := uuid.Parse(order)
	if err != nil {
		w.failf("published", "%s of no order", name)
		return
	}
	switch e, there := w.db.Event(id, name); {
	case !there:
		w.failf("published", "%s of %s comes to its sink, but isn't committed", name, w.nameOf(order))
	case !bytes.Equal(e.Data, body):
		w.failf("published", "%s of %s comes to its sink as another than is committed", name, w.nameOf(order))
	}
}

// checkAnswered makes sure that a sink has what follows from an event before the
// event is answered by 2xx: until then Kafka keeps it.
func (w *world) checkAnswered(m *message) {
	id, err := uuid.Parse(m.order)
	if err != nil {
		return
	}
	handled := false
	for _, e := range w.db.History(id) {
		if e.Source != m.reader || e.Cause == nil || *e.Cause != m.event {
			continue
		}
		handled = true
		if e.Type != nil && w.broker.accepted[m.order+"/"+e.Name] == 0 {
			w.failf("answered", "%s answers %s by 2xx before the sink has %s", m.reader, m.name(w), e.Name)
		}
	}
	if !handled {
		w.failf("answered", "%s answers %s by 2xx and has not written it down", m.reader, m.name(w))
	}
}

// begun is an attempt as its thread knows it.
type begun struct {
	order uuid.UUID
	key   string
	id    int64
	// uncertain says that nobody knew what came of the one before it, and asked that
	// the provider was asked since.
	uncertain, asked bool
}

// beginning is the attempt that is being written down.
func (w *world) beginning(op memdb.Op) begun {
	made := begun{order: op.Args[0].(uuid.UUID), key: op.Args[1].(string), id: op.Rows[0][0].(int64)}
	for _, other := range w.db.Attempts(made.order) {
		if other.Key == made.key {
			made.uncertain = other.Uncertain()
		}
	}
	return made
}

// checkAttempt holds what is asked of the provider against what is on record: nothing is
// to be moved without a record of it, nor again before the provider was asked.
func (p *process) checkAttempt(r *http.Request, what string) {
	t, known := r.Context().Value(threadKey{}).(*thread)
	if !known || p.dead {
		return
	}
	if r.Method == http.MethodGet {
		t.begun.asked = true
		return
	}
	onRecord := slices.ContainsFunc(p.world.db.Attempts(t.begun.order), func(a memdb.Attempt) bool {
		return a.Position == t.begun.id && a.Key == r.Header.Get("Idempotency-Key")
	})
	switch {
	case !onRecord:
		p.world.failf("attempt", "%s is to %s, and that isn't on record", p.name, what)
	case t.begun.uncertain && !t.begun.asked:
		p.world.failf("attempt", "%s is to %s again, and hasn't asked what came of it", p.name, what)
	}
}

// checkMoney looks at the provider's last movement: nothing may be moved twice.
func (w *world) checkMoney() {
	if len(w.provider.ledger) == 0 {
		return
	}
	last := w.provider.ledger[len(w.provider.ledger)-1]
	for _, other := range w.provider.ledger[:len(w.provider.ledger)-1] {
		if other.OrderID == last.OrderID && other.Kind == last.Kind {
			w.failf("money", "%s of %s is made twice", last.Kind, w.nameOf(last.OrderID))
		}
	}
}
