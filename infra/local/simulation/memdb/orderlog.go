package memdb

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// Order is a row of orders.
type Order struct {
	ID                     uuid.UUID
	Number, Status         string
	CancelReason           *string
	TotalAmount            int64
	Currency, Method       string
	PlacedAt, UpdatedAt    instant
	Resends                int32
	ResendAfter, SettledAt *instant
}

func (o Order) check() error {
	return checks{
		{"cancelled_for_a_reason", (o.Status == "cancelled") == (o.CancelReason != nil)},
		{"orders_currency_check", isCurrency(o.Currency)},
		{"orders_total_amount_check", o.TotalAmount > 0},
		{"reason_is_known", o.CancelReason == nil || oneOf(*o.CancelReason, "payment_declined", "payment_expired", "out_of_stock", "customer_request", "operator_request")},
		{"settled_is_final", o.SettledAt == nil || oneOf(o.Status, "shipped", "cancelled")},
		{"status_is_known", oneOf(o.Status, "placed", "payment_verified", "inventory_updated", "shipped", "cancelled")},
	}.err()
}

func oneOf(value string, known ...string) bool { return slices.Contains(known, value) }

func isCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	return !slices.ContainsFunc([]byte(code), func(c byte) bool { return c < 'A' || c > 'Z' })
}

// Event is a row of order_events.
type Event struct {
	OrderID      uuid.UUID
	Name, Source string
	Cause, Type  *string
	Data         []byte
	TraceParent  string
	OccurredAt   instant
	PublishedAt  *instant
	Position     int64
}

func (e Event) check() error {
	return checks{
		{"event_has_data", (e.Type == nil) == (e.Data == nil)},
		{"silence_is_not_published", e.Type != nil || e.PublishedAt == nil},
	}.err()
}

type (
	eventKey struct {
		order uuid.UUID
		name  string
	}
	handledKey struct {
		order         uuid.UUID
		source, cause string
	}
)

func orderlogStatements() []statement {
	return []statement{
		{"orderlog appendEntry", "5faee9986417", appendEntry},
		{"orderlog moveOrder", "f1141ba8139e", moveOrder},
		{"orderlog lockOrder", "377e27607401", lockOrder},
		{"orderlog isHandled", "a4e20c68dfd0", isHandled},
		{"orderlog findStanding", "592b287d1273", findStanding},
		{"orderlog markPublished", "e5b4c38bc2e0", markPublished},
		{"orderlog synchronousCommit", "8d7fa24f9666", nothing},
		{"orderlog notify", "54d124a54b2b", announce},
	}
}

func appendEntry(tx *Tx, args []any) (result, error) {
	e := Event{
		OrderID: id(args, 0), Name: text(args, 1), Source: text(args, 2), Cause: orNull(text(args, 3)), Type: arg[*string](args, 4),
		Data: arg[[]byte](args, 5), TraceParent: text(args, 6), OccurredAt: at(args, 7),
	}
	tx.db.lastPosition++
	e.Position = tx.db.lastPosition
	if err := e.check(); err != nil {
		return result{}, err
	}
	key := eventKey{e.OrderID, e.Name}
	if err := tx.db.events.lock(tx, key); err != nil {
		return result{}, err
	}
	if _, there := tx.db.events.get(tx, key); there {
		return changed(0)
	}
	if e.Cause != nil { // of two rows without a cause Postgres takes none for the other's like
		handled := handledKey{e.OrderID, e.Source, *e.Cause}
		if err := tx.db.handled.lock(tx, handled); err != nil {
			return result{}, err
		}
		if _, there := tx.db.handled.get(tx, handled); there {
			return changed(0)
		}
		tx.db.handled.set(handled, true)
	}
	tx.db.events.set(key, e)
	if !slices.Contains(tx.db.names[e.OrderID], e.Name) {
		tx.db.names[e.OrderID] = append(tx.db.names[e.OrderID], e.Name)
	}
	if _, there := tx.db.orders.get(tx, e.OrderID); !there {
		return result{}, violation(foreignKey, "order_events_order_id_fkey")
	}
	return changed(1)
}

// history is an order's events as a transaction sees them, in their order.
func (db *DB) history(tx *Tx, order uuid.UUID) []Event {
	var found []Event
	for _, name := range db.names[order] {
		if e, there := db.events.get(tx, eventKey{order, name}); there {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Event) int { return cmp.Compare(a.Position, b.Position) })
	return found
}

func moveOrder(tx *Tx, args []any) (result, error) {
	order, from := id(args, 0), arg[[]string](args, 4)
	o, there := tx.db.orders.get(tx, order)
	if !there || !slices.Contains(from, o.Status) {
		return changed(0)
	}
	if err := tx.db.orders.lock(tx, order); err != nil {
		return result{}, err
	}
	o.Status, o.CancelReason, o.UpdatedAt, o.Resends, o.ResendAfter = text(args, 1), orNull(text(args, 2)), at(args, 3), 0, nil
	if err := o.check(); err != nil {
		return result{}, err
	}
	tx.db.orders.set(order, o)
	return changed(1)
}

func lockOrder(tx *Tx, args []any) (result, error) {
	order := id(args, 0)
	if _, there := tx.db.orders.get(tx, order); !there {
		return result{}, nil
	}
	if err := tx.db.orders.lock(tx, order); err != nil {
		return result{}, err
	}
	o, _ := tx.db.orders.get(tx, order)
	return one(o.Status)
}

func isHandled(tx *Tx, args []any) (result, error) {
	_, there := tx.db.handled.get(tx, handledKey{id(args, 0), text(args, 1), text(args, 2)})
	return one(there)
}

func findStanding(tx *Tx, args []any) (result, error) {
	order, source, name := id(args, 0), text(args, 1), text(args, 2)
	o, there := tx.db.orders.get(tx, order)
	if !there {
		return result{}, nil
	}
	found := []any{o.Status, tx.now, nil, nil, nil, nil, nil, nil, nil, nil, false}
	if cause, there := tx.db.events.get(tx, eventKey{order, name}); there {
		found[2], found[3], found[4] = cause.OccurredAt, cause.Type, cause.Data
	}
	for _, own := range tx.db.history(tx, order) {
		if own.Source == source && own.Cause != nil && *own.Cause == name {
			found[5], found[6], found[7], found[8], found[9], found[10] =
				own.Name, own.Type, own.Data, own.TraceParent, own.OccurredAt, own.PublishedAt != nil
		}
	}
	return one(found...)
}

func markPublished(tx *Tx, args []any) (result, error) {
	orders, names := arg[[]uuid.UUID](args, 0), arg[[]string](args, 1)
	marked := 0
	for i, order := range orders {
		key := eventKey{order, names[i]}
		e, there := tx.db.events.get(tx, key)
		if !there || e.PublishedAt != nil {
			continue
		}
		if err := tx.db.events.lock(tx, key); err != nil {
			return result{}, err
		}
		now := tx.now
		e.PublishedAt = &now
		if err := e.check(); err != nil {
			return result{}, err
		}
		tx.db.events.set(key, e)
		marked++
	}
	return changed(marked)
}

func nothing(*Tx, []any) (result, error) { return result{}, nil }

func announce(tx *Tx, _ []any) (result, error) {
	tx.db.announcements++
	return one("")
}
