package simulation

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// books is what is committed, in the way that checks look at it.
type books struct {
	memdb.Tables

	world     *world
	history   map[uuid.UUID][]memdb.Event
	lines     map[uuid.UUID][]memdb.Line
	payments  map[uuid.UUID]memdb.Payment
	shipments map[uuid.UUID]memdb.Shipment
	// data is what the events say.
	data map[uuid.UUID]map[string]events.Data
}

// checkAtRest checks what must be true once there is nothing left to do. It says in
// Go what shared/invariants says in SQL.
func (w *world) checkAtRest() {
	b := books{
		Tables: w.db.Tables(), world: w, history: map[uuid.UUID][]memdb.Event{}, lines: map[uuid.UUID][]memdb.Line{},
		payments: map[uuid.UUID]memdb.Payment{}, shipments: map[uuid.UUID]memdb.Shipment{}, data: map[uuid.UUID]map[string]events.Data{},
	}
	for _, e := range b.Events {
		b.history[e.OrderID] = append(b.history[e.OrderID], e)
	}
	for _, l := range b.Lines {
		b.lines[l.OrderID] = append(b.lines[l.OrderID], l)
	}
	for _, p := range b.Payments {
		b.payments[p.OrderID] = p
	}
	for _, s := range b.Shipments {
		b.shipments[s.OrderID] = s
	}
	for _, check := range []func() error{b.placed, b.histories, b.money, b.attempts, b.parcels, b.stock, b.reservations, b.counts, b.letters} {
		if err := check(); err != nil {
			w.failf("rest", "%v", err)
		}
	}
}

func (b *books) named(o memdb.Order) string { return b.world.nameOf(o.ID.String()) }

// placed: every wish is one order, and ended as its customer was told.
func (b *books) placed() error {
	if len(b.Orders) != len(b.world.orders) {
		return fmt.Errorf("%d orders for %d wishes", len(b.Orders), len(b.world.orders))
	}
	for _, wished := range b.world.orders {
		o, there := b.world.db.Order(wished.id)
		switch {
		case !there:
			return fmt.Errorf("order %d was confirmed to its customer and isn't there", wished.number)
		case !events.Status(o.Status).Final():
			return fmt.Errorf("order %d is %s", wished.number, o.Status)
		case wished.tooLate && o.Status != "shipped", wished.cancelled && !wished.tooLate && o.Status != "cancelled":
			return fmt.Errorf("order %d is %s, and its customer was told otherwise", wished.number, o.Status)
		}
	}
	return nil
}

// histories: each is a legal path that ends where the order stands; every event is
// published, tells of its order, and is handled by all who read it.
func (b *books) histories() error {
	for _, o := range b.Orders {
		var at events.Status
		b.data[o.ID] = map[string]events.Data{}
		for _, e := range b.history[o.ID] {
			if e.Type == nil {
				continue
			}
			entry, known := events.ByName(e.Name)
			data, err := events.Decode(*e.Type, e.Data)
			switch {
			case err != nil || !known:
				return fmt.Errorf("%s of %s can't be read: %w", e.Name, b.named(o), err)
			case at == "" && entry.Status != events.StatusPlaced, at != "" && !events.CanMove(at, entry.Status):
				return fmt.Errorf("%s has %s after %q", b.named(o), e.Name, at)
			case e.PublishedAt == nil:
				return fmt.Errorf("%s of %s is not published", e.Name, b.named(o))
			}
			at, b.data[o.ID][e.Name] = entry.Status, data
			if err := b.handled(o, entry); err != nil {
				return err
			}
		}
		if at != events.Status(o.Status) {
			return fmt.Errorf("%s is %s, but its last event left it %s", b.named(o), o.Status, at)
		}
	}
	return nil
}

func (b *books) handled(o memdb.Order, entry events.Entry) error {
	for _, reader := range entry.ReadBy {
		times := 0
		for _, e := range b.history[o.ID] {
			if e.Source == reader && e.Cause != nil && *e.Cause == entry.Name {
				times++
			}
		}
		if times != 1 {
			return fmt.Errorf("%s of %s is handled %d times by %s", entry.Name, b.named(o), times, reader)
		}
	}
	return nil
}

// money: kept for shipped orders, held or kept for no other, and the same in the
// provider's books as in ours.
func (b *books) money() error {
	for _, o := range b.Orders {
		ours, recorded := b.payments[o.ID]
		theirs := b.world.provider.payments[o.ID.String()]
		switch {
		case o.Status == "shipped" && (!recorded || ours.State != "captured" || ours.Amount != o.TotalAmount):
			return fmt.Errorf("%s is shipped, and its payment %q of %d", b.named(o), ours.State, ours.Amount)
		case o.Status == "cancelled" && oneOf(ours.State, "authorised", "captured"):
			return fmt.Errorf("%s is cancelled, and its payment %s", b.named(o), ours.State)
		case theirs != nil && theirs.Secured() && o.Status != "shipped":
			return fmt.Errorf("%s is %s, and the provider has its money %s", b.named(o), o.Status, theirs.State)
		case recorded && (theirs == nil || string(theirs.State) != ours.State || theirs.Amount.Amount != ours.Amount || theirs.DeclineCode != textOf(ours.DeclineCode)):
			return fmt.Errorf("the payment of %s is %s in our books, and not so in the provider's", b.named(o), ours.State)
		case !recorded && theirs != nil && theirs.OnRecord() && theirs.DeclineCode != "order_released":
			return fmt.Errorf("the provider has a payment of %s that is %s, and we have none", b.named(o), theirs.State)
		}
	}
	return b.ledger()
}

// attempts: whatever the provider has told of a payment was told to an attempt on record,
// each attempt is at what its order owes, and what nobody knew of one was found out.
func (b *books) attempts() error {
	for _, o := range b.Orders {
		all := b.world.db.Attempts(o.ID)
		if p, recorded := b.payments[o.ID]; recorded && !slices.ContainsFunc(all, func(a memdb.Attempt) bool { return textOf(a.Outcome) == p.State }) {
			return fmt.Errorf("the payment of %s is %s, and no attempt was answered so", b.named(o), p.State)
		}
		for _, a := range all {
			settles := func(other memdb.Attempt) bool {
				return !other.Uncertain() && (other.Key == a.Key || other.Step == string(payment.StepRelease))
			}
			switch {
			case a.Amount != o.TotalAmount || a.Currency != o.Currency:
				return fmt.Errorf("an attempt to %s %s is at %d %s", a.Step, b.named(o), a.Amount, a.Currency)
			case a.Uncertain() && !slices.ContainsFunc(all, settles):
				return fmt.Errorf("nobody knows what came of the attempt to %s %s", a.Step, b.named(o))
			}
		}
	}
	return nil
}

// ledger: what was held was kept or given back, to the cent.
func (b *books) ledger() error {
	left := map[string]int64{}
	for _, m := range b.world.provider.ledger {
		switch m.Kind {
		case payment.KindAuthorise:
			left[m.OrderID] += m.Amount.Amount
		case payment.KindVoid, payment.KindRefund:
			left[m.OrderID] -= m.Amount.Amount
		default:
		}
	}
	for _, o := range b.Orders {
		want := int64(0)
		if o.Status == "shipped" {
			want = o.TotalAmount
		}
		if got := left[o.ID.String()]; got != want {
			return fmt.Errorf("of %s the provider keeps %d, want %d", b.named(o), got, want)
		}
	}
	return nil
}

// parcels: one for each shipped order, with its label where it says.
func (b *books) parcels() error {
	for _, o := range b.Orders {
		s, there := b.shipments[o.ID]
		if there != (o.Status == "shipped") {
			return fmt.Errorf("%s is %s, and a parcel for it: %t", b.named(o), o.Status, there)
		}
		told, _ := b.data[o.ID]["order-shipped"].(events.OrderShipped)
		label, stored := b.world.bucket[s.LabelKey]
		sum := sha256.Sum256([]byte(label))
		if there && (!stored || !slices.Equal(sum[:], s.LabelSHA256) || told.TrackingNumber != s.TrackingNumber) {
			return fmt.Errorf("the parcel of %s hasn't the label or the number that was told", b.named(o))
		}
	}
	return nil
}

// stock: what was shipped was ordered, nothing is held any more, nothing is sold
// that wasn't there, and nobody was sent away while there was enough for all.
func (b *books) stock() error {
	shipped, wished := map[string]int64{}, map[string]int64{}
	for _, o := range b.Orders {
		for _, line := range b.lines[o.ID] {
			wished[line.SKU] += int64(line.Quantity)
			if o.Status == "shipped" {
				shipped[line.SKU] += int64(line.Quantity)
			}
		}
	}
	for _, s := range b.Stock {
		if s.Opening+s.Received != s.OnHand+s.Shipped || s.Reserved != 0 || s.OnHand < 0 || s.Shipped != shipped[s.SKU] {
			return fmt.Errorf("stock of %s is %+v, and shipped orders have %d", s.SKU, s, shipped[s.SKU])
		}
	}
	for _, o := range b.Orders {
		cancelled, _ := b.data[o.ID]["order-cancelled"].(events.OrderCancelled)
		for _, short := range cancelled.Short {
			i := slices.IndexFunc(b.Stock, func(s memdb.Stock) bool { return s.SKU == short.SKU })
			if short.Available >= short.Wanted || b.Stock[i].Opening >= wished[short.SKU] {
				return fmt.Errorf("%s was sent away for want of %s, of which there was enough", b.named(o), short.SKU)
			}
		}
	}
	return nil
}

// reservations follow their orders, whole.
func (b *books) reservations() error {
	of := map[uuid.UUID]int{}
	for _, r := range b.Reservations {
		of[r.OrderID]++
		o, _ := b.world.db.Order(r.OrderID)
		if want := map[string]string{"shipped": "shipped", "cancelled": "released"}[o.Status]; r.State != want {
			return fmt.Errorf("%s is %s, and its %s %s", b.named(o), o.Status, r.SKU, r.State)
		}
	}
	for _, o := range b.Orders {
		if n := of[o.ID]; n != len(b.lines[o.ID]) && (n != 0 || o.Status == "shipped") {
			return fmt.Errorf("%s has %d of %d lines reserved", b.named(o), n, len(b.lines[o.ID]))
		}
	}
	return nil
}

// counts: order-analytics has counted every event once.
func (b *books) counts() error {
	got, want := map[string]int64{}, map[string]int64{}
	for _, c := range b.Counts {
		got[c.Metric+" "+c.Dimension] += c.Value
	}
	for _, o := range b.Orders {
		want["orders_placed "]++
		if cancelled, is := b.data[o.ID]["order-cancelled"].(events.OrderCancelled); is {
			want["orders_cancelled "+string(cancelled.Reason)]++
		}
		if o.Status != "shipped" {
			continue
		}
		want["orders_shipped "]++
		want["revenue "+o.Currency] += o.TotalAmount
		for _, line := range b.lines[o.ID] {
			want["items_sold "+line.SKU] += int64(line.Quantity)
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("order-analytics counts %v, but there are %v", got, want)
	}
	return nil
}

// letters: with faults that end, nothing is ever given up.
func (b *books) letters() error {
	if len(b.Letters) > 0 {
		return fmt.Errorf("order-recovery has given up %s: %s", b.Letters[0].Type, b.Letters[0].ErrorData)
	}
	return nil
}

func oneOf(value string, known ...string) bool { return slices.Contains(known, value) }

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
