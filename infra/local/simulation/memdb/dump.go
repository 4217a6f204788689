package memdb

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Count is a row of analytics_minutes.
type Count struct {
	Minute            time.Time
	Metric, Dimension string
	Shard             int16
	Value             int64
}

// Tables is all that is committed, each table by its key.
type Tables struct {
	Stock        []Stock
	Orders       []Order
	Contacts     []Contact
	Lines        []Line
	Events       []Event
	Payments     []Payment
	Attempts     []Attempt
	Reservations []Reservation
	Shipments    []Shipment
	Counts       []Count
	Letters      []Letter
	Keys         int
}

// Tables reads all tables at once.
func (db *DB) Tables() Tables {
	var t Tables
	db.keys.all(func(string, idempotencyKey) { t.Keys++ })
	db.stock.all(func(_ string, s Stock) { t.Stock = append(t.Stock, s) })
	db.orders.all(func(_ uuid.UUID, o Order) { t.Orders = append(t.Orders, o) })
	db.contacts.all(func(_ uuid.UUID, c Contact) { t.Contacts = append(t.Contacts, c) })
	db.lines.all(func(_ uuid.UUID, l []Line) { t.Lines = append(t.Lines, l...) })
	db.events.all(func(_ eventKey, e Event) { t.Events = append(t.Events, e) })
	db.payments.all(func(_ uuid.UUID, p Payment) { t.Payments = append(t.Payments, p) })
	db.attempts.all(func(_ attemptKey, a Attempt) { t.Attempts = append(t.Attempts, a) })
	db.reservations.all(func(_ reservationKey, r Reservation) { t.Reservations = append(t.Reservations, r) })
	db.shipments.all(func(_ uuid.UUID, s Shipment) { t.Shipments = append(t.Shipments, s) })
	db.minutes.all(func(k minuteKey, v int64) {
		t.Counts = append(t.Counts, Count{k.minute, k.metric, k.dimension, k.shard, v})
	})
	db.letters.all(func(_ letterKey, l Letter) { t.Letters = append(t.Letters, l) })
	t.sort()
	return t
}

func (t *Tables) sort() {
	byID := func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(t.Stock, func(a, b Stock) int { return cmp.Compare(a.SKU, b.SKU) })
	slices.SortFunc(t.Orders, func(a, b Order) int { return byID(a.ID, b.ID) })
	slices.SortFunc(t.Contacts, func(a, b Contact) int { return byID(a.OrderID, b.OrderID) })
	slices.SortFunc(t.Lines, func(a, b Line) int { return cmp.Or(byID(a.OrderID, b.OrderID), cmp.Compare(a.Line, b.Line)) })
	slices.SortFunc(t.Events, func(a, b Event) int { return cmp.Compare(a.Position, b.Position) })
	slices.SortFunc(t.Payments, func(a, b Payment) int { return byID(a.OrderID, b.OrderID) })
	slices.SortFunc(t.Attempts, func(a, b Attempt) int { return cmp.Compare(a.Position, b.Position) })
	slices.SortFunc(t.Reservations, func(a, b Reservation) int {
		return cmp.Or(byID(a.OrderID, b.OrderID), cmp.Compare(a.SKU, b.SKU))
	})
	slices.SortFunc(t.Shipments, func(a, b Shipment) int { return byID(a.OrderID, b.OrderID) })
	slices.SortFunc(t.Counts, func(a, b Count) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Dimension, b.Dimension), cmp.Compare(a.Shard, b.Shard))
	})
	slices.SortFunc(t.Letters, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.EventID, b.EventID), cmp.Compare(a.Dest, b.Dest))
	})
}

// Order reads the committed row of an order.
func (db *DB) Order(order uuid.UUID) (Order, bool) { return db.orders.get(nil, order) }

// Event reads the committed row of an event.
func (db *DB) Event(order uuid.UUID, name string) (Event, bool) {
	return db.events.get(nil, eventKey{order, name})
}

// History reads the committed events of an order, in their order.
func (db *DB) History(order uuid.UUID) []Event { return db.history(nil, order) }
