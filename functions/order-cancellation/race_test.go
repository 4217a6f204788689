package function_test

import (
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
