package local_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	inventory "github.com/orderflow-project/orderflow/functions/inventory-update"
	cancellation "github.com/orderflow-project/orderflow/functions/order-cancellation"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// TestStockInAllDirections reserves orders of several lines, each other one with its
// lines the other way round, while customers cancel and what was held goes back: both
// functions lock the same articles at once, and none ever waits for who waits for it.
func TestStockInAllDirections(t *testing.T) {
	t.Parallel()
	pool, topics := postgrestest.New(t), stagetest.NewSink(t)
	environment := sandboxtest.Start(t).Environment()
	environment["DATABASE_URL"], environment["K_SINK"] = pool.Config().ConnString(), topics.URL()
	reserve, release := stagetest.Run(t, inventory.New(), environment), stagetest.Run(t, cancellation.New(), environment)

	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var orders []stagetest.Order
	for i := range 120 {
		order := stagetest.Place(t, pool, events.StatusPaymentVerified)
		exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, $1::uuid::text, 'authorised', 3300, 'EUR')`, order.ID)
		if i%2 == 0 {
			exec(`update order_lines set line = 10 - line where order_id = $1`, order.ID)
		}
		orders = append(orders, order)
	}
	deliver := func(order stagetest.Order, url, event string) {
		if status, body := order.Deliver(t, url, event); status != http.StatusOK {
			t.Errorf("%s answered %d %s, want 200", event, status, body)
		}
	}
	var group sync.WaitGroup
	for i, order := range orders {
		cancel := func() {
			if cancelAsCustomer(t, pool, order) {
				deliver(order, release, events.TypeOrderCancelled)
			}
		}
		group.Go(func() {
			deliver(order, reserve, events.TypePaymentVerified)
			if i%4 == 1 { // with its units
				cancel()
			}
		})
		if i%4 == 3 { // whatever comes first
			group.Go(cancel)
		}
	}
	group.Wait()

	for _, name := range []string{
		"stock_is_the_fold_of_its_journal", "reservations_are_the_fold_of_their_journal", "stock_reserved_is_held", "orders_are_reserved_whole",
		"reservations_follow_the_order",
	} {
		if violations := violationsOf(t, pool, name); len(violations) > 0 {
			t.Errorf("%s: %s", name, strings.Join(violations, "; "))
		}
	}
	var live, cancelled, released int
	if err := pool.QueryRow(t.Context(), `select count(*) filter (where status = 'inventory_updated'), count(*) filter (where status = 'cancelled'),
		(select count(*) from stock_transfers where kind = 'release') from orders`).Scan(&live, &cancelled, &released); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d orders have their units, %d are cancelled, %d lines went back", live, cancelled, released)
	if live+cancelled != len(orders) || live == 0 || released < 10 {
		t.Errorf("%d orders have their units and %d are cancelled, of %d", live, cancelled, len(orders))
	}
	stagetest.WantNoDeadlock(t, pool)
}

// cancelAsCustomer does what the storefront does, and tells whether it was in time.
func cancelAsCustomer(t *testing.T, pool *pgxpool.Pool, order stagetest.Order) bool {
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := orderlog.Lock(t.Context(), tx, order.ID, "storefront", ""); err != nil {
			return err
		}
		var entry orderlog.Entry
		entry.OrderID, entry.Name, entry.Source, entry.Data = order.ID, "order-cancelled", "storefront", order.Data(events.TypeOrderCancelled)
		if err := tx.QueryRow(t.Context(), `select now()`).Scan(&entry.OccurredAt); err != nil {
			return err
		}
		if err := orderlog.Move(t.Context(), tx, order.ID, events.StatusCancelled, events.ReasonCustomerRequest, entry.OccurredAt); err != nil {
			return err
		}
		return orderlog.Append(t.Context(), tx, entry)
	})
	if err != nil {
		t.Logf("order %s is not cancelled: %v", order.Number, err) // it was out of stock
	}
	return err == nil
}

func violationsOf(t *testing.T, pool *pgxpool.Pool, name string) []string {
	t.Helper()
	all, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Name == name {
			violations, err := invariants.Check(t.Context(), pool, one)
			if err != nil {
				t.Fatal(err)
			}
			return violations
		}
	}
	t.Fatalf("no invariant is called %s", name)
	return nil
}

func TestStockCommand(t *testing.T) {
	t.Parallel()
	c := operating{t: t, name: "stock", pool: postgrestest.New(t)}
	order := stagetest.Place(t, c.pool, events.StatusPlaced)
	c.want(1, []string{`"20" has no quantity`}, "receive", "TEST-ONE", "3", "20", "--reference=PO-17")
	c.want(1, []string{`"many" is no quantity of TEST-ONE`}, "receive", "TEST-ONE", "many", "--reference=PO-17")
	c.want(80, []string{"--reference"}, "receive", "TEST-ONE", "20")
	c.want(1, []string{"no such article: NO-SUCH"}, "receive", "TEST-ONE", "20", "NO-SUCH", "1", "--reference=PO-17")
	c.want(1, []string{"it needs a reason"}, "adjust", "TEST-ONE", "--by-units=-3")
	c.want(1, []string{"not so many are free: of TEST-ONE there are 100, of which orders hold 0"}, "adjust", "TEST-ONE", "--by-units=-101", "--reason=gone")
	c.want(1, []string{"no such article in stock"}, "show", "NO-SUCH")
	c.want(0, []string{"received, on record as number", "TEST-ONE  120      0         120        0        0         100      20        +0"},
		"receive", "TEST-ONE", "20", "TEST-TWO", "1", "--reference=PO-17")
	c.want(0, []string{"nothing to do: it was received at", "by ada"}, "receive", "TEST-TWO", "1", "TEST-ONE", "20", "--reference=PO-17", "--by=bob")
	c.want(1, []string{"the reference is on record with other contents"}, "receive", "TEST-ONE", "21", "--reference=PO-17")
	c.want(0, []string{"adjusted, on record", "-3"}, "adjust", "TEST-ONE", "--by-units=-3", "--reason=broken in the shelf")
	c.want(0, []string{"TEST-ONE", "117", "TEST-TWO", "101"}, "list")
	c.want(0, []string{"adjust", "ada, broken in the shelf", "receive", "ada, PO-17", "opening", "database user"}, "show", "TEST-ONE")
	c.want(0, []string{`"sku":"TEST-ONE"`, `"available":117`, `"reference":"PO-17"`}, "show", "TEST-ONE", "--json")
	c.want(0, []string{`"on_hand":101`}, "list", "--json")
	c.want(0, []string{`"before":true`}, "receive", "TEST-TWO", "1", "TEST-ONE", "20", "--reference=PO-17", "--json")
	if printed, _ := c.run("show", "TEST-ONE"); strings.Contains(printed, order.ID.String()) {
		t.Error("an order that reserved nothing is among those that moved units")
	}
}
