package function_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-recovery"
)

// stall makes many orders that wait for payment-verification, and some that are
// shipped and done with.
func (w *world) stall(waiting, done int) {
	w.t.Helper()
	w.exec(`insert into orders (id, number, status, total_amount, currency, payment_method, placed_at, updated_at)
		select gen_random_uuid(), 'OF-' || n, case when n <= $1 then 'placed' else 'shipped' end, 3300, 'EUR', 'pm_card_visa',
		       now() - interval '1 hour', now() - interval '1 hour'
		from generate_series(1, $1::int + $2::int) n`, waiting, done)
	w.exec(`insert into order_events (order_id, name, source, cause, type, data, occurred_at, published_at)
		select id, e.name, e.source, e.cause, e.type, jsonb_build_object('order_id', id), placed_at, placed_at
		from orders join (values
			('placed', 'order-placed', 'storefront', null, 'orderflow.order.placed.v1'),
			('shipped', 'order-placed', 'storefront', null, 'orderflow.order.placed.v1'),
			('shipped', 'payment-verified', 'payment-verification', 'order-placed', 'orderflow.payment.verified.v1'),
			('shipped', 'inventory-updated', 'inventory-update', 'payment-verified', 'orderflow.inventory.updated.v1'),
			('shipped', 'order-shipped', 'shipment-preparation', 'inventory-updated', 'orderflow.order.shipped.v1')
		) as e (status, name, source, cause, type) using (status)`)
	w.exec(`insert into order_events (order_id, name, source, cause, occurred_at)
		select e.order_id, e.name || '#' || r.reader, r.reader, e.name, e.occurred_at
		from order_events e join orders o on o.id = e.order_id and o.status = 'shipped',
		     (values ('customer-notification'), ('order-analytics')) as r (reader)`)
	w.exec(`analyze`)
}

// patient makes nothing become due again while a test runs, on however slow a
// machine.
func patient() map[string]string {
	return map[string]string{"RECOVER_AFTER": "10m"}
}

func TestFiveThousandStalledOrders(t *testing.T) {
	t.Parallel()
	const orders, shipped = 5000, 1000
	w := start(t, patient())
	w.stall(orders, shipped)
	var all function.Report
	start := time.Now()
	sweeps := 0
	for !all.Complete {
		began := time.Now()
		done := w.sweep()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("a sweep took %s, want at most 20 s", took)
		}
		all.Complete, all.Resent, all.Settled = done.Complete, all.Resent+done.Resent, all.Settled+done.Settled
		if sweeps++; sweeps > 20 || t.Failed() {
			t.Fatalf("%d sweeps, and still not done: %+v", sweeps, all)
		}
	}
	t.Logf("%d sweeps, %s: %+v", sweeps, time.Since(start).Round(time.Millisecond), all)
	if all.Resent != orders || all.Settled != shipped || len(w.sink.Sent()) != orders || len(w.sink.IDs()) != orders {
		t.Errorf("resent %d and settled %d, sent %d events of %d orders, want each of %d and %d once",
			all.Resent, all.Settled, len(w.sink.Sent()), len(w.sink.IDs()), orders, shipped)
	}
	if done := w.sweep(); done.Resent != 0 || done.Settled != 0 {
		t.Errorf("a sweep right after: %+v, want nothing to be due", done)
	}
}

// Sweeps at the same time share the work: every event is sent once each time
// it is due.
func TestSweepsBesideEachOther(t *testing.T) {
	t.Parallel()
	const orders = 1200
	w := start(t, patient())
	w.stall(orders, 0)
	for round := 1; round <= 2; round++ {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { w.sweep() })
		}
		group.Wait()
		if got := len(w.sink.Sent()); got != round*orders {
			t.Errorf("after round %d: %d events sent, want %d", round, got, round*orders)
		}
		if got := len(w.sink.IDs()); got != orders {
			t.Errorf("after round %d: events of %d orders sent, want %d", round, got, orders)
		}
		w.pass("11 minutes")
	}
}

// With many orders settled, finding those that aren't costs what they are, not
// what there are in all.
func TestFindsByTheIndex(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.stall(0, 2000)
	w.exec(`update orders set settled_at = now() where status = 'shipped'`)
	order := w.healthy(events.StatusPlaced)
	w.exec(`update orders set status = 'shipped', settled_at = now() where id <> $1`, order.ID)
	w.exec(`analyze`)
	rows, err := w.pool.Query(t.Context(), `explain select id, status, resends, now() from orders where settled_at is null
		and status = any ('{placed,payment_verified,inventory_updated,shipped,cancelled}') and id > $1
		and updated_at <= now() - make_interval(secs => 30) and (resend_after is null or resend_after <= now())
		order by id limit 500 for no key update skip locked`, "00000000-0000-0000-0000-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	plan := ""
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if want := "Index Scan using orders_unsettled"; !strings.Contains(plan, want) {
		t.Errorf("plan:\n%swant %q", plan, want)
	}
}
