package function

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// TestCancelledDuringCapture stops the capture at the provider, before or after
// its effect, cancels the order meanwhile, and has order-cancellation release
// the money meanwhile or not at all. No money is kept in any case.
func TestCancelledDuringCapture(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, released := range []bool{false, true} {
			t.Run(fmt.Sprintf("after=%t,released=%t", after, released), func(t *testing.T) {
				t.Parallel()
				s := open(t, testS3(t))
				order := s.order(stagetest.PaymentMethod)
				held := s.provider.Hold(t, "/v1/payments/*/capture", after)
				var delivery sync.WaitGroup
				delivery.Go(func() {
					if status, body := order.Deliver(t, s.url, events.TypeInventoryUpdated); status != ok {
						t.Errorf("delivery answered %d %s, want 200", status, body)
					}
				})
				<-held.Reached
				if !s.cancel(order) {
					t.Fatal("the order can't be cancelled while its payment is captured")
				}
				if released {
					s.release(order)
				}
				held.Resume()
				delivery.Wait()
				s.wantCancelledWithout(order)
			})
		}
	}
}

// release does what order-cancellation does with the money.
func (s *shop) release(order stagetest.Order) {
	s.tb.Helper()
	if _, err := s.provider.Release(s.tb.Context(), order.ID.String()); err != nil {
		s.tb.Error(err)
	}
}

// wantCancelledWithout checks that nothing was kept and nothing sent.
func (s *shop) wantCancelledWithout(order stagetest.Order) {
	s.tb.Helper()
	if got := s.status(order); got != "cancelled customer_request" {
		s.tb.Errorf("order is %s, want cancelled", got)
	}
	theirs, ours := s.money(order)
	if theirs != payment.StateVoided && theirs != payment.StateRefunded {
		s.tb.Errorf("payment is %s, want voided or refunded", theirs)
	}
	if ours != string(theirs) {
		s.tb.Errorf("payment is %s by our books, and at the provider %s", ours, theirs)
	}
	s.wantNothingShipped(order)
}

// A delivery that died after its capture leaves the rest to the next one, which
// finds the order cancelled.
func TestCancelledAfterLostCapture(t *testing.T) {
	t.Parallel()
	s := open(t, testS3(t))
	order := s.order(stagetest.PaymentMethod)
	s.provider.Fault(t, `{"after":{"path":"/v1/payments/*/capture","drop":true,"count":1}}`)
	s.deliver(order, unavailable)
	if !s.cancel(order) {
		t.Fatal("the order can't be cancelled")
	}
	s.deliver(order, ok)
	s.wantCancelledWithout(order)
	if theirs, _ := s.money(order); theirs != payment.StateRefunded {
		t.Errorf("payment is %s, want refunded", theirs)
	}
}

// Many orders, each cancelled at any moment of its delivery: whoever wins, the
// parcel, the money and the books agree.
func TestCancellationRace(t *testing.T) {
	t.Parallel()
	const orders = 40
	s := open(t, testS3(t))
	var group sync.WaitGroup
	for range orders {
		order := s.order(stagetest.PaymentMethod)
		inTime := make(chan bool, 1)
		group.Go(func() {
			inTime <- s.cancel(order)
		})
		group.Go(func() {
			if status, body := order.Deliver(t, s.url, events.TypeInventoryUpdated); status != ok {
				t.Errorf("delivery answered %d %s, want 200", status, body)
			}
			if <-inTime {
				s.wantCancelledWithout(order)
				return
			}
			s.wantShipped(order)
		})
	}
	group.Wait()
}

// Stock is locked in SKU order, though it stands in another on the disk: whoever
// waits for the first article holds nothing that who has it could wait for.
func TestStockIsLockedInSKUOrder(t *testing.T) {
	t.Parallel()
	s := open(t, testS3(t))
	s.exec(`insert into products (sku, name, description, category, price_amount, currency)
		values ($1, 'First', 'For tests', 'tests', 1250, 'EUR'), ($2, 'Second', 'For tests', 'tests', 800, 'EUR')`, stagetest.SKUOne, stagetest.SKUTwo)
	for _, sku := range []string{stagetest.SKUTwo, stagetest.SKUOne} {
		s.exec(`insert into stock (sku, opening, on_hand, reserved) values ($1, 100, 100, 2)`, sku)
	}
	order := stagetest.Place(t, s.pool, events.StatusInventoryUpdated)
	s.exec(`insert into reservations (order_id, sku, quantity, state)
		select order_id, sku, quantity, 'held' from order_lines where order_id = $1 order by sku desc`, order.ID)
	held, err := s.provider.Authorise(t.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: order.Total, Method: stagetest.PaymentMethod,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, $2, 'authorised', 3300, 'EUR')`, order.ID, held.ID)
	s.exec(`analyze stock, reservations`) // so that they are read as they stand
	other, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(context.WithoutCancel(t.Context()))
	if _, err := other.Exec(t.Context(), `select from stock where sku = $1 for no key update`, stagetest.SKUOne); err != nil {
		t.Fatal(err)
	}
	var delivery sync.WaitGroup
	delivery.Go(func() {
		if status, body := order.Deliver(t, s.url, events.TypeInventoryUpdated); status != ok {
			t.Errorf("delivery answered %d %s, want 200", status, body)
		}
	})
	stagetest.AwaitBlocked(t, s.pool)
	if _, err := other.Exec(t.Context(), `select from stock where sku = $1 for no key update nowait`, stagetest.SKUTwo); err != nil {
		t.Errorf("the function waits for the first article, and holds the second: %v", err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	delivery.Wait()
	s.wantShipped(order)
}

// A shipped order keeps its money, whatever is delivered again.
func TestShippedStaysShipped(t *testing.T) {
	t.Parallel()
	s := open(t, testS3(t))
	order := s.order(stagetest.PaymentMethod)
	s.deliver(order, ok)
	s.exec(`delete from order_events where order_id = $1 and name = 'order-shipped'`, order.ID)
	s.deliver(order, ok)
	s.wantShipped(order)
}
