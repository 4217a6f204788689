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
