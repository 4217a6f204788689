package function

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func TestConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{New: New, Accepts: events.TypePaymentVerified, Next: "inventory-updated"})
}

// shop is a database and as many processes of the function as a test wants.
type shop struct {
	tb   testing.TB
	pool *pgxpool.Pool
	sink *stagetest.Sink
	url  string
	urls []string
}

func open(tb testing.TB, processes int) *shop {
	tb.Helper()
	s := &shop{tb: tb, pool: postgrestest.New(tb), sink: stagetest.NewSink(tb)}
	for range processes {
		s.urls = append(s.urls, stagetest.Run(tb, New(), map[string]string{
			"DATABASE_URL": s.pool.Config().ConnString(), "K_SINK": s.sink.URL(), "DATABASE_MAX_CONNS": "15",
		}))
	}
	s.url = s.urls[0]
	return s
}

func (s *shop) exec(statement string, args ...any) {
	s.tb.Helper()
	if _, err := s.pool.Exec(s.tb.Context(), statement, args...); err != nil {
		s.tb.Fatalf("%s: %v", statement, err)
	}
}

func (s *shop) count(question string, args ...any) int {
	s.tb.Helper()
	var n int
	if err := s.pool.QueryRow(s.tb.Context(), question, args...).Scan(&n); err != nil {
		s.tb.Fatalf("%s: %v", question, err)
	}
	return n
}

func (s *shop) paidOrder() stagetest.Order {
	s.tb.Helper()
	return stagetest.Place(s.tb, s.pool, events.StatusPaymentVerified)
}

func (s *shop) deliver(order stagetest.Order, want int) {
	s.tb.Helper()
	if status, body := order.Deliver(s.tb, s.url, events.TypePaymentVerified); status != want {
		s.tb.Errorf("delivery answered %d %s, want %d", status, body, want)
	}
}

// deliverAll delivers every order's event twice and all at once, each time to
// the next process.
func (s *shop) deliverAll(orders []stagetest.Order) {
	s.tb.Helper()
	var group sync.WaitGroup
	for i, order := range slices.Concat(orders, orders) {
		group.Go(func() {
			// A deadlock would be answered by 503.
			if status, body := order.Deliver(s.tb, s.urls[i%len(s.urls)], events.TypePaymentVerified); status != http.StatusOK {
				s.tb.Errorf("delivery answered %d %s, want 200", status, body)
			}
		})
	}
	group.Wait()
}

// wantSold checks how many orders got their units, and that the books agree.
func (s *shop) wantSold(sold, cancelled int) {
	s.tb.Helper()
	for question, want := range map[string]int{
		`select count(*) from orders where status = 'inventory_updated'`:                                                             sold,
		`select count(*) from orders where status = 'cancelled' and cancel_reason = 'out_of_stock'`:                                  cancelled,
		`select count(distinct order_id) from reservations where state = 'held'`:                                                     sold,
		`select count(*) from reservations join orders on id = order_id where status = 'cancelled'`:                                  0,
		`select count(*) from stock s where reserved <> (select coalesce(sum(quantity), 0) from reservations r where r.sku = s.sku)`: 0,
		`select count(*) from order_lines l join orders o on o.id = l.order_id and o.status = 'inventory_updated'
		 where not exists (select from reservations r where r.order_id = l.order_id and r.sku = l.sku and r.quantity = l.quantity)`: 0,
	} {
		if got := s.count(question); got != want {
			s.tb.Errorf("%s: %d, want %d", question, got, want)
		}
	}
}

// Of the first article there are 100, and each order wants two: exactly 50 get
// theirs, whichever come first.
func TestLastUnits(t *testing.T) {
	t.Parallel()
	s := open(t, 3)
	var orders []stagetest.Order
	for range 120 {
		orders = append(orders, s.paidOrder())
	}
	s.deliverAll(orders)
	s.wantSold(50, 70)
	if left := s.count(`select on_hand - reserved from stock where sku = $1`, stagetest.SKUOne); left != 0 {
		t.Errorf("%d units are left though orders were turned away", left)
	}
}

// Two orders for the last unit: one wins, the other hears what was short.
func TestLastUnit(t *testing.T) {
	t.Parallel()
	s := open(t, 2)
	orders := []stagetest.Order{s.paidOrder(), s.paidOrder()}
	s.exec(`update stock set opening = 3, on_hand = 3 where sku = $1`, stagetest.SKUOne)
	s.deliverAll(orders)
	s.wantSold(1, 1)
	for _, sent := range s.sink.Sent() {
		if sent.Sink != "order-cancelled" {
			continue
		}
		data, err := events.Decode(sent.Event.Type(), sent.Event.Data())
		if err != nil {
			t.Fatal(err)
		}
		want := []events.Shortage{{SKU: stagetest.SKUOne, Wanted: 2, Available: 1}}
		if diff := cmp.Diff(want, data.(events.OrderCancelled).Short); diff != "" { //nolint:forcetypeassert // the sink says so
			t.Errorf("shortages (-want +got):\n%s", diff)
		}
	}
}

// Orders whose lines stand in opposite order share both articles: whoever
// locked in the order of lines would deadlock.
func TestNoDeadlock(t *testing.T) {
	t.Parallel()
	s := open(t, 3)
	var orders []stagetest.Order
	for i := range 100 {
		order := s.paidOrder()
		if i%2 == 0 {
			s.exec(`update order_lines set line = 10 - line where order_id = $1`, order.ID)
			s.exec(`update order_events set data = jsonb_set(data, '{lines}', jsonb_build_array(data -> 'lines' -> 1, data -> 'lines' -> 0))
				where order_id = $1`, order.ID)
			slices.Reverse(order.Lines)
		}
		orders = append(orders, order)
	}
	s.deliverAll(orders)
	s.wantSold(50, 50)
}

// Stock is locked in SKU order, though it stands in another on the disk and in the
// order: whoever waits for the first article holds nothing that who has it could
// wait for.
func TestStockIsLockedInSKUOrder(t *testing.T) {
	t.Parallel()
	s := open(t, 1)
	s.exec(`insert into products (sku, name, description, category, price_amount, currency)
		values ($1, 'First', 'For tests', 'tests', 1250, 'EUR'), ($2, 'Second', 'For tests', 'tests', 800, 'EUR')`, stagetest.SKUOne, stagetest.SKUTwo)
	for _, sku := range []string{stagetest.SKUTwo, stagetest.SKUOne} {
		s.exec(`insert into stock (sku, opening, on_hand) values ($1, 100, 100)`, sku)
	}
	order := s.paidOrder()
	s.exec(`update order_lines set line = 10 - line where order_id = $1`, order.ID)
	s.exec(`analyze stock, order_lines`) // so that they are read as they stand, and not by a hash of the SKU
	other, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(context.WithoutCancel(t.Context()))
	if _, err := other.Exec(t.Context(), `select from stock where sku = $1 for no key update`, stagetest.SKUOne); err != nil {
		t.Fatal(err)
	}
	var delivery sync.WaitGroup
	delivery.Go(func() { s.deliver(order, http.StatusOK) })
	stagetest.AwaitBlocked(t, s.pool)
	if _, err := other.Exec(t.Context(), `select from stock where sku = $1 for no key update nowait`, stagetest.SKUTwo); err != nil {
		t.Errorf("the function waits for the first article, and holds the second: %v", err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	delivery.Wait()
	s.wantSold(1, 0)
}

// What is short stops all of the order, and nothing of it stays reserved.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	s := open(t, 1)
	order := s.paidOrder()
	s.exec(`update stock set opening = 0, on_hand = 0 where sku = $1`, stagetest.SKUTwo)
	s.deliver(order, http.StatusOK)
	s.wantSold(0, 1)
	want := []string{order.ID.String() + "/order-cancelled"}
	if diff := cmp.Diff(want, s.sink.IDs()); diff != "" {
		t.Errorf("ids of the events sent (-want +got):\n%s", diff)
	}
}

// An article that never had any stock is out of stock.
func TestNeverStocked(t *testing.T) {
	t.Parallel()
	s := open(t, 1)
	order := s.paidOrder()
	s.exec(`delete from stock where sku = $1`, stagetest.SKUTwo)
	s.deliver(order, http.StatusOK)
	s.wantSold(0, 1)
}

// An event with other lines than the order's must reserve nothing.
func TestOtherLinesAreRejected(t *testing.T) {
	t.Parallel()
	s := open(t, 1)
	order := s.paidOrder()
	before := stagetest.Snapshot(t, s.pool)
	order.Lines = slices.Clone(order.Lines)
	order.Lines[0].Quantity, order.Total.Amount = 3, order.Total.Amount+order.Lines[0].UnitPrice.Amount
	s.deliver(order, http.StatusUnprocessableEntity)
	if diff := cmp.Diff(before, stagetest.Snapshot(t, s.pool)); diff != "" {
		t.Errorf("the database has changed (-before +after):\n%s", diff)
	}
}

// Where the database fails in the middle, nothing is kept and the delivery comes again.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"stock", "reservations"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := open(t, 1)
			order := s.paidOrder()
			s.exec(`alter table ` + table + ` rename to gone`)
			s.deliver(order, http.StatusServiceUnavailable)
			s.exec(`alter table gone rename to ` + table)
			s.wantSold(0, 0)
			s.deliver(order, http.StatusOK)
			s.wantSold(1, 0)
		})
	}
}
