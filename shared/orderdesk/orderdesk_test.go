package orderdesk_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// office is a desk with everything around it.
type office struct {
	tb   testing.TB
	pool *pgxpool.Pool
	sink *stagetest.Sink
	*orderdesk.Desk
}

func open(tb testing.TB) *office {
	tb.Helper()
	o := &office{tb: tb, pool: postgrestest.New(tb), sink: stagetest.NewSink(tb)}
	client, err := sink.NewClient(sink.Config{URL: o.sink.URL()})
	if err != nil {
		tb.Fatal(err)
	}
	publisher := orderlog.NewPublisher(o.pool, client, slog.New(slog.DiscardHandler))
	tb.Cleanup(publisher.Close)
	o.Desk = orderdesk.New(o.pool, publisher)
	return o
}

func (o *office) exec(sql string, args ...any) {
	o.tb.Helper()
	if _, err := o.pool.Exec(o.tb.Context(), sql, args...); err != nil {
		o.tb.Fatal(err)
	}
}

// shipped is an order of 2 TEST-ONE and 1 TEST-TWO, paid and sent.
func (o *office) shipped() stagetest.Order {
	o.tb.Helper()
	order := stagetest.Place(o.tb, o.pool, events.StatusShipped)
	o.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'pay_' || $1::uuid, 'captured', 3300, 'EUR')`, order.ID)
	o.exec(`insert into reservations select order_id, sku, quantity, 'shipped' from order_lines where order_id = $1`, order.ID)
	o.exec(`update stock s set on_hand = on_hand - r.quantity, shipped = shipped + r.quantity from reservations r where r.sku = s.sku and r.order_id = $1`, order.ID)
	o.exec(`update orders set settled_at = now() where id = $1`, order.ID)
	return order
}

// carriedOut notes that the money and the units of a return went back.
func (o *office) carriedOut(order stagetest.Order, name string, refund int64) {
	o.tb.Helper()
	o.exec(`update payments set refunded_amount = refunded_amount + $2 where order_id = $1`, order.ID, refund)
	o.exec(`insert into order_events (order_id, name, source, cause, occurred_at) values ($1, $2 || '#order-cancellation', 'order-cancellation', $2, now())`, order.ID, name)
}

func eur(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }

func one(sku string, quantity int) []events.ReturnedLine {
	return []events.ReturnedLine{{SKU: sku, Quantity: quantity, Restocked: true}}
}

func back(refund int64, lines ...events.ReturnedLine) orderdesk.Return {
	return orderdesk.Return{Lines: lines, Refund: eur(refund), Reason: events.ReturnNotWanted}
}

func by(reference string) orderdesk.Act { return orderdesk.Act{By: "ada", Reference: reference} }

// everything is all that the tests' orders consist of.
func (o *office) everything() map[string]string { return stagetest.Snapshot(o.tb, o.pool) }

func TestTakeBack(t *testing.T) {
	t.Parallel()
	o := open(t)
	order := o.shipped()
	first, err := o.TakeBack(t.Context(), order.ID, back(1250, one(stagetest.SKUOne, 1)...), by("RMA-1"))
	if err != nil || first.Before || !first.Sent || first.By != "ada" || first.Event != order.ID.String()+"/order-returned/1" {
		t.Fatalf("TakeBack() = %+v, %v", first, err)
	}
	broken := events.ReturnedLine{SKU: stagetest.SKUOne, Quantity: 1}
	second, err := o.TakeBack(t.Context(), order.ID, orderdesk.Return{Lines: []events.ReturnedLine{broken}, Refund: eur(50), Reason: events.ReturnDamaged}, by("RMA-2"))
	if err != nil || second.Event != order.ID.String()+"/order-returned/2" {
		t.Fatalf("TakeBack() again = %+v, %v", second, err)
	}
	for _, sent := range o.sink.Sent() {
		if sent.Sink != "order-returned" {
			t.Errorf("%s went to the sink %q", sent.Event.ID(), sent.Sink)
		}
	}
	if want := []string{first.Event, second.Event}; !slices.Equal(o.sink.IDs(), want) {
		t.Errorf("sent %v, want %v", o.sink.IDs(), want)
	}
	standing, err := orderlog.Find(t.Context(), o.pool, order.ID, "order-cancellation", "order-returned/2")
	want := events.OrderReturned{
		OrderID: order.ID.String(), Number: order.Number, ReturnNumber: 2, Reason: events.ReturnDamaged,
		Lines: []events.ReturnedLine{broken}, Refund: eur(50), Total: order.Total,
	}
	if diff := cmp.Diff(events.Data(want), standing.Data); diff != "" || err != nil || standing.Status != events.StatusShipped {
		t.Errorf("in the history, of an order that is %s (%v) (-want +got):\n%s", standing.Status, err, diff)
	}
	var open, acts int
	err = o.pool.QueryRow(t.Context(), `select count(*) filter (where settled_at is null), (select count(*) from order_acts where actor = 'ada') from orders`).Scan(&open, &acts)
	if err != nil || open != 1 || acts != 2 {
		t.Errorf("%d orders wait for something, %d acts on record (%v), want 1 and 2", open, acts, err)
	}
}

// What was never shipped or paid isn't given back, and nothing has changed then.
func TestTakeBackIsRefused(t *testing.T) {
	t.Parallel()
	o := open(t)
	order, placed, cancelled := o.shipped(), stagetest.Place(t, o.pool, events.StatusInventoryUpdated), stagetest.Place(t, o.pool, events.StatusCancelled)
	free := stagetest.Place(t, o.pool, events.StatusShipped)
	// A return that nobody has carried out yet, and one that was.
	for i, refund := range []int64{1000, 300} {
		if _, err := o.TakeBack(t.Context(), order.ID, back(refund, one(stagetest.SKUOne, 1)...), by(fmt.Sprintf("RMA-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	o.carriedOut(order, "order-returned/1", 1000)
	before := o.everything()
	dollars, reason := back(1), back(1)
	dollars.Refund.Currency, reason.Reason = "USD", "for Ada"
	for name, test := range map[string]struct {
		order uuid.UUID
		back  orderdesk.Return
		act   orderdesk.Act
		want  error
	}{
		"not shipped":               {placed.ID, back(1), by("R"), orderdesk.ErrNotShipped},
		"cancelled":                 {cancelled.ID, back(1), by("R"), orderdesk.ErrCancelled},
		"nobody's":                  {uuid.New(), back(1), by("R"), orderdesk.ErrNoOrder},
		"never paid":                {free.ID, back(1), by("R"), orderdesk.ErrMoney},
		"more than is left":         {order.ID, back(2001), by("R"), orderdesk.ErrMoney},
		"more units than are out":   {order.ID, back(1, one(stagetest.SKUOne, 1)...), by("R"), orderdesk.ErrUnits},
		"more of one than shipped":  {order.ID, back(1, one(stagetest.SKUTwo, 2)...), by("R"), orderdesk.ErrUnits},
		"good and broken, too many": {order.ID, back(1, events.ReturnedLine{SKU: stagetest.SKUTwo, Quantity: 1, Restocked: true}, events.ReturnedLine{SKU: stagetest.SKUTwo, Quantity: 1}), by("R"), orderdesk.ErrUnits},
		"what wasn't ordered":       {order.ID, back(1, one("TEST-TEN", 1)...), by("R"), orderdesk.ErrUnits},
		"no refund":                 {order.ID, back(0, one(stagetest.SKUTwo, 1)...), by("R"), orderdesk.ErrInvalid},
		"less than none":            {order.ID, back(-1), by("R"), orderdesk.ErrInvalid},
		"another currency":          {order.ID, dollars, by("R"), orderdesk.ErrInvalid},
		"no units":                  {order.ID, back(1, one(stagetest.SKUTwo, 0)...), by("R"), orderdesk.ErrInvalid},
		"twice in one":              {order.ID, back(1, append(one(stagetest.SKUTwo, 1), one(stagetest.SKUTwo, 1)...)...), by("R"), orderdesk.ErrInvalid},
		"a reason of its own":       {order.ID, reason, by("R"), orderdesk.ErrInvalid},
		"no reference":              {order.ID, back(1), by(" "), orderdesk.ErrInvalid},
		"nobody":                    {order.ID, back(1), orderdesk.Act{By: " ", Reference: "R"}, orderdesk.ErrInvalid},
		"another refund":            {order.ID, back(1, one(stagetest.SKUOne, 1)...), by("RMA-0"), orderdesk.ErrReference},
		"other lines":               {order.ID, back(1000), by("RMA-0"), orderdesk.ErrReference},
		"another order":             {free.ID, back(1000, one(stagetest.SKUOne, 1)...), by("RMA-0"), orderdesk.ErrReference},
	} {
		if done, err := o.TakeBack(t.Context(), test.order, test.back, test.act); !errors.Is(err, test.want) {
			t.Errorf("%s: TakeBack() = %+v, %v, want %v", name, done, err, test.want)
		}
	}
	if diff := cmp.Diff(before, o.everything()); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
	if _, err := o.TakeBack(t.Context(), order.ID, back(2000, one(stagetest.SKUTwo, 1)...), by("R")); err != nil {
		t.Errorf("all that is left: %v", err)
	}
}

// A reference stands for one return, however often it is entered and by how many at
// once; and however many returns are entered at once, no more is given back than there is.
func TestTakeBackAtOnce(t *testing.T) {
	t.Parallel()
	o := open(t)
	order := o.shipped()
	var group sync.WaitGroup
	var taken, refused atomic.Int32
	for _, reference := range []string{"A", "A", "A", "B", "C", "D", "E"} {
		group.Go(func() {
			done, err := o.TakeBack(t.Context(), order.ID, back(1000), by(reference))
			switch {
			case err == nil && !done.Before:
				taken.Add(1)
			case errors.Is(err, orderdesk.ErrMoney):
				refused.Add(1)
			case err != nil:
				t.Errorf("%s: %v", reference, err)
			}
		})
	}
	group.Wait()
	var told, named int64
	err := o.pool.QueryRow(t.Context(), `select sum((data #>> '{refund,amount}')::bigint), count(distinct name) from order_events
		where order_id = $1 and name like 'order-returned/%'`, order.ID).Scan(&told, &named)
	if err != nil || taken.Load() != 3 || told != 3000 || named != 3 {
		t.Errorf("%d returns of %d, %d names, %d refused (%v), want 3 of 3000", taken.Load(), told, named, refused.Load(), err)
	}
}

// The same reference for two orders at once: one of them has it.
func TestOneReferenceForTwoOrders(t *testing.T) {
	t.Parallel()
	o := open(t)
	var group sync.WaitGroup
	var taken atomic.Int32
	for range 4 {
		order := o.shipped()
		group.Go(func() {
			if _, err := o.TakeBack(t.Context(), order.ID, back(1), by("R")); err == nil {
				taken.Add(1)
			} else if !errors.Is(err, orderdesk.ErrReference) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 {
		t.Errorf("%d orders have the reference, want 1", taken.Load())
	}
}

// With the sink down it is on record, and said to be sent later. Entered again it is
// sent, and is one return.
func TestSinkDown(t *testing.T) {
	t.Parallel()
	o := open(t)
	order := o.shipped()
	o.sink.SetDown(true)
	first, err := o.TakeBack(t.Context(), order.ID, back(100), by("R"))
	if err != nil || first.Sent || first.Before {
		t.Fatalf("TakeBack() with the sink down = %+v, %v", first, err)
	}
	o.sink.SetDown(false)
	again, err := o.TakeBack(t.Context(), order.ID, back(100), orderdesk.Act{By: "bob", Reference: "R"})
	if err != nil || !again.Sent || !again.Before || again.By != "ada" || again.Event != first.Event {
		t.Errorf("entered again: %+v, %v", again, err)
	}
	if want := []string{first.Event}; !slices.Equal(o.sink.IDs(), want) {
		t.Errorf("sent %v, want %v", o.sink.IDs(), want)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	o := open(t)
	because := orderdesk.Act{By: "ada", Reason: "the address is a building site"}
	for status, want := range map[events.Status]error{
		events.StatusPlaced: nil, events.StatusPaymentVerified: nil, events.StatusInventoryUpdated: nil,
		events.StatusShipped: orderdesk.ErrShipped, events.StatusCancelled: orderdesk.ErrCancelled,
	} {
		order := stagetest.Place(t, o.pool, status)
		before := o.everything()
		done, err := o.Cancel(t.Context(), order.ID, because)
		if !errors.Is(err, want) {
			t.Errorf("Cancel() of an order that is %s = %v, want %v", status, err, want)
		}
		if want != nil {
			if diff := cmp.Diff(before, o.everything()); diff != "" {
				t.Errorf("an order that is %s was refused, and something has changed:\n%s", status, diff)
			}
			continue
		}
		var reason, actor, word string
		err = o.pool.QueryRow(t.Context(), `select o.cancel_reason, a.actor, a.reason from orders o join order_acts a on a.order_id = o.id
			where o.id = $1 and a.event = 'order-cancelled'`, order.ID).Scan(&reason, &actor, &word)
		if err != nil || reason != "operator_request" || actor != "ada" || word != because.Reason || !done.Sent {
			t.Errorf("on record: %s by %s, %q (%v); %+v", reason, actor, word, err, done)
		}
	}
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	for name, act := range map[string]orderdesk.Act{"nobody": {Reason: "r"}, "no reason": {By: "ada", Reason: " "}} {
		if _, err := o.Cancel(t.Context(), order.ID, act); !errors.Is(err, orderdesk.ErrInvalid) {
			t.Errorf("%s: Cancel() = %v", name, err)
		}
	}
	because.Reference = "CASE-1"
	for _, before := range []bool{false, true} {
		if done, err := o.Cancel(t.Context(), order.ID, because); err != nil || done.Before != before {
			t.Errorf("Cancel() by its reference = %+v, %v", done, err)
		}
	}
}

// Operators, the customer and the shipment want the order at once: it ends once.
func TestCancelRacesWithOthers(t *testing.T) {
	t.Parallel()
	o := open(t)
	for range 8 {
		order := stagetest.Place(t, o.pool, events.StatusInventoryUpdated)
		var group sync.WaitGroup
		var ended atomic.Int32
		try := func(err error) {
			if err == nil {
				ended.Add(1)
			} else if !errors.Is(err, orderdesk.ErrCancelled) && !errors.Is(err, orderdesk.ErrShipped) &&
				!errors.Is(err, orderlog.ErrCancelled) && !errors.Is(err, orderlog.ErrIllegalMove) {
				t.Error(err)
			}
		}
		for range 2 {
			group.Go(func() {
				_, err := o.Cancel(t.Context(), order.ID, orderdesk.Act{By: "ada", Reason: "r"})
				try(err)
			})
		}
		group.Go(func() {
			_, err := orderlog.Cancel(t.Context(), o.pool, order.ID, "storefront", events.ReasonCustomerRequest, "")
			try(err)
		})
		group.Go(func() { try(o.ship(order)) })
		group.Wait()
		var acts, cancelled int32
		err := o.pool.QueryRow(t.Context(), `select (select count(*) from order_acts where order_id = $1),
			(select count(*) from order_events where order_id = $1 and source = 'backoffice')`, order.ID).Scan(&acts, &cancelled)
		if err != nil || ended.Load() != 1 || acts != cancelled {
			t.Errorf("ended %d times, %d acts, %d events of operators (%v)", ended.Load(), acts, cancelled, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	o := open(t)
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	for _, name := range []string{order.ID.String(), order.Number} {
		if found, err := o.Find(t.Context(), name); err != nil || found.ID != order.ID || found.Total != order.Total {
			t.Errorf("Find(%q) = %+v, %v", name, found, err)
		}
	}
	for _, name := range []string{"", "OF-NOBOD-Y0000", uuid.NewString()} {
		if found, err := o.Find(t.Context(), name); !errors.Is(err, orderdesk.ErrNoOrder) {
			t.Errorf("Find(%q) = %+v, %v", name, found, err)
		}
	}
}

// ship moves the order on as shipment-preparation does.
func (o *office) ship(order stagetest.Order) error {
	return pgx.BeginFunc(o.tb.Context(), o.pool, func(tx pgx.Tx) error {
		if _, err := orderlog.Lock(o.tb.Context(), tx, order.ID, "shipment-preparation", "inventory-updated"); err != nil {
			return err
		}
		return orderlog.Move(o.tb.Context(), tx, order.ID, events.StatusShipped, "", time.Now())
	})
}
