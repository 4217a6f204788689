package function_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// Many orders with the same articles are cancelled at once, each delivered
// three times, while stock is taken in the same order of SKUs: nothing
// deadlocks, and every unit comes back once.
func TestCancelledAtOnce(t *testing.T) {
	t.Parallel()
	const count = 30
	s := open(t)
	var orders []stagetest.Order
	for range count {
		order := s.place(events.ReasonCustomerRequest)
		reserve(t, s.pool, order, "held")
		orders = append(orders, order)
	}
	var group sync.WaitGroup
	for _, order := range orders {
		for range 3 {
			group.Go(func() { s.deliver(order, http.StatusOK) })
		}
		group.Go(func() { s.takeOneOfEach() })
	}
	group.Wait()
	want := left{Payment: payment.StateNone, LetGo: 2, OnHand: 100, ReservedOne: count, ReservedTwo: count}
	for _, order := range orders {
		s.want(order, want)
	}
}

// Stock is locked in SKU order, though it stands in another on the disk: whoever
// waits for the first article holds nothing that who has it could wait for.
func TestStockIsLockedInSKUOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	exec(t, s.pool, `insert into products (sku, name, description, category, price_amount, currency)
		values ($1, 'First', 'For tests', 'tests', 1250, 'EUR'), ($2, 'Second', 'For tests', 'tests', 800, 'EUR')`, stagetest.SKUOne, stagetest.SKUTwo)
	for _, sku := range []string{stagetest.SKUTwo, stagetest.SKUOne} {
		exec(t, s.pool, `insert into stock (sku, opening, on_hand, reserved) values ($1, 100, 100, 2)`, sku)
	}
	order := s.place(events.ReasonCustomerRequest)
	exec(t, s.pool, `insert into reservations (order_id, sku, quantity, state)
		select order_id, sku, quantity, 'held' from order_lines where order_id = $1 order by sku desc`, order.ID)
	exec(t, s.pool, `analyze stock, reservations`) // so that they are read as they stand
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
	s.want(order, left{Payment: payment.StateNone, LetGo: 2, OnHand: 100, ReservedTwo: 1})
}

// takeOneOfEach reserves the way inventory-update does: locks in SKU order.
func (s *shop) takeOneOfEach() {
	s.tb.Helper()
	err := pgx.BeginFunc(s.tb.Context(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(s.tb.Context(), `select from stock order by sku for no key update`); err != nil {
			return fmt.Errorf("lock stock: %w", err)
		}
		_, err := tx.Exec(s.tb.Context(), `update stock set reserved = reserved + 1`)
		return err
	})
	if err != nil {
		s.tb.Error(err)
	}
}

// A capture races with the release of a cancelled order. Whoever is first, the
// customer's money is back in the end, and both books say how.
func TestCaptureRacesWithCancellation(t *testing.T) {
	t.Parallel()
	s := open(t)
	ends := map[payment.State]int{}
	for round := range 24 {
		order := s.place(events.ReasonCustomerRequest)
		authorise(t, s.provider, order, stagetest.PaymentMethod)
		record(t, s.pool, order, payment.StateAuthorised)
		var group sync.WaitGroup
		group.Go(func() { s.deliver(order, http.StatusOK) })
		group.Go(func() {
			for range round % 8 { // comes sooner or later, by requests and not by a clock
				_, _ = s.provider.Find(t.Context(), order.ID.String())
			}
			capture(t, s.provider, order)
		})
		group.Wait()
		ours := s.left(order).Payment
		ends[ours]++
		last := map[payment.State][]payment.Kind{
			payment.StateVoided:   {payment.KindAuthorise, payment.KindVoid},
			payment.StateRefunded: {payment.KindAuthorise, payment.KindCapture, payment.KindRefund},
		}[ours]
		if diff := cmp.Diff(last, s.provider.Kinds(t, order.ID.String())); last == nil || diff != "" {
			t.Errorf("payment is %s, but at the provider (-want +got):\n%s", ours, diff)
		}
	}
	t.Logf("ends: %v", ends)
}
