package memdb

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
)

// Letter is a row of dead_letters.
type Letter struct {
	EventID, Source, Type, Subject, Dest, ErrorData string
	Event                                           []byte
	State                                           string
	Times                                           int
	FirstAt, LastAt                                 instant
}

type letterKey struct{ source, event, dest string }

func recoveryStatements() []statement {
	return []statement{
		{"order-recovery LockDue", "787ad4861556", lockDue},
		{"order-recovery ListPending", "b288e9e9740c", listPending},
		{"order-recovery Settle", "0d8938656358", settle},
		{"order-recovery Schedule", "7ad32ba295fa", schedule},
		{"order-recovery GiveBack", "014076939c60", giveBack},
		{"order-recovery AddDeadLetters", "f03bfb07bd5d", addDeadLetters},
	}
}

// sorted are the orders that a transaction sees, by id.
func (tx *Tx) sorted() []uuid.UUID {
	var ids []uuid.UUID
	for order := range tx.db.orders.cells {
		if _, there := tx.db.orders.get(tx, order); there {
			ids = append(ids, order)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

func lockDue(tx *Tx, args []any) (result, error) {
	statuses, last, quiet, limit := arg[[]string](args, 0), id(args, 1), seconds(arg[float64](args, 2)), int(arg[int32](args, 3))
	if limit < 0 {
		return result{}, violation("2201W", "")
	}
	var out result
	for _, order := range tx.sorted() {
		o, _ := tx.db.orders.get(tx, order)
		isDue := o.SettledAt == nil && slices.Contains(statuses, o.Status) && bytes.Compare(order[:], last[:]) > 0 &&
			!o.UpdatedAt.After(tx.now.Add(-quiet)) && (o.ResendAfter == nil || !o.ResendAfter.After(tx.now))
		if !isDue || tx.db.orders.locked(tx, order) || len(out.rows) == limit {
			continue
		}
		if err := tx.db.orders.lock(tx, order); err != nil {
			return result{}, err
		}
		out.rows = append(out.rows, []any{order, o.Status, o.Resends, tx.now})
	}
	return out, nil
}

func listPending(tx *Tx, args []any) (result, error) {
	names, readers := arg[[]string](args, 0), arg[[]string](args, 1)
	ids, latest := arg[[]uuid.UUID](args, 2), arg[[]string](args, 3)
	var out result
	wanted := map[uuid.UUID]string{}
	for i, order := range ids {
		wanted[order] = latest[i]
	}
	for _, order := range slices.SortedFunc(slices.Values(ids), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		for _, e := range tx.db.history(tx, order) {
			if e.Type == nil {
				continue
			}
			waiting := []string{}
			for i, reader := range readers {
				if _, handled := tx.db.handled.get(tx, handledKey{order, reader, e.Name}); names[i] == events.TopicOf(e.Name) && !handled {
					waiting = append(waiting, reader)
				}
			}
			slices.Sort(waiting)
			if e.PublishedAt != nil && len(waiting) == 0 && e.Name != wanted[order] {
				continue
			}
			out.rows = append(out.rows, []any{
				order, e.Name, e.Source, or(e.Cause, ""), *e.Type, e.Data, e.TraceParent, e.OccurredAt,
				e.PublishedAt == nil, tx.now.Sub(e.OccurredAt).Seconds(), waiting,
			})
		}
	}
	return out, nil
}

// update changes orders that are there.
func (tx *Tx) update(ids []uuid.UUID, with func(i int, o *Order) bool) (result, error) {
	n := 0
	for i, order := range ids {
		o, there := tx.db.orders.get(tx, order)
		if !there || !with(i, &o) {
			continue
		}
		if err := tx.db.orders.lock(tx, order); err != nil {
			return result{}, err
		}
		if err := o.check(); err != nil {
			return result{}, err
		}
		tx.db.orders.set(order, o)
		n++
	}
	return changed(n)
}

func settle(tx *Tx, args []any) (result, error) {
	return tx.update(arg[[]uuid.UUID](args, 0), func(_ int, o *Order) bool {
		now := tx.now
		o.SettledAt, o.ResendAfter = &now, nil
		return true
	})
}

func schedule(tx *Tx, args []any) (result, error) {
	resends, afters := arg[[]int32](args, 1), arg[[]time.Time](args, 2)
	return tx.update(arg[[]uuid.UUID](args, 0), func(i int, o *Order) bool {
		after := stored(afters[i])
		o.Resends, o.ResendAfter = resends[i], &after
		return true
	})
}

func giveBack(tx *Tx, args []any) (result, error) {
	resends, afters, waits := arg[[]int32](args, 1), arg[[]time.Time](args, 2), arg[[]float64](args, 3)
	return tx.update(arg[[]uuid.UUID](args, 0), func(i int, o *Order) bool {
		if o.ResendAfter == nil || !o.ResendAfter.Equal(stored(afters[i])) {
			return false
		}
		after := tx.now.Add(seconds(waits[i]))
		o.Resends, o.ResendAfter = resends[i], &after
		return true
	})
}

func addDeadLetters(tx *Tx, args []any) (result, error) {
	texts := func(i int) []string { return arg[[]string](args, i) }
	bodies := arg[[][]byte](args, 6)
	for i, event := range texts(0) {
		key := letterKey{texts(1)[i], event, texts(4)[i]}
		if err := tx.db.letters.lock(tx, key); err != nil {
			return result{}, err
		}
		letter, there := tx.db.letters.get(tx, key)
		if !there {
			letter = Letter{
				EventID: event, Source: key.source, Type: texts(2)[i], Subject: texts(3)[i], Dest: key.dest,
				Event: bodies[i], State: "open", FirstAt: tx.now,
			}
		}
		if letter.State == "redriven" {
			letter.State = "open"
		}
		letter.Times, letter.LastAt, letter.ErrorData = letter.Times+1, tx.now, texts(5)[i]
		tx.db.letters.set(key, letter)
	}
	return changed(len(bodies))
}
