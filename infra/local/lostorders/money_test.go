package lostorders_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
)

// OTel demo and Google demo: the card is charged, the shipping call fails, the
// caller gets an error, and nothing is voided or refunded.
//
// Ours charges when the parcel is ready and not before. What fails after the
// charge is tried again; who cancels meanwhile gets the money back.
func TestChargedThenShippingFails(t *testing.T) {
	t.Parallel()
	t.Run("before the charge", func(t *testing.T) {
		t.Parallel()
		s := open(t, nil)
		tries := s.S3.Close()
		order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
		localtest.Eventually(t, "shipping has failed more than once", 2*time.Minute, func() bool { return tries.Load() >= 4 })
		s.wantMoved(t, order, payment.KindAuthorise)
		s.Cancel(t, order)
		s.AwaitPayment(t, order, payment.StateVoided)
		s.S3.Open()
		s.WantAllTrue(t)
		s.wantMoved(t, order, payment.KindAuthorise, payment.KindVoid)
	})
	t.Run("after it, and cancelled", func(t *testing.T) {
		t.Parallel()
		s := open(t, nil)
		// Nor can the provider be asked what came of it: the order would be shipped.
		s.Provider.Fault(t, `{"before":{"method":"GET","path":"/v1/payments/*","drop":true},"after":{"path":"/v1/payments/*/capture","drop":true}}`)
		order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
		localtest.Eventually(t, "the money is captured", 2*time.Minute, func() bool {
			return slices.Contains(s.Provider.Kinds(t, order.ID.String()), payment.KindCapture)
		})
		s.Cancel(t, order)
		s.Provider.Fault(t, `{}`)
		s.AwaitPayment(t, order, payment.StateRefunded)
		s.WantAllTrue(t)
		s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture, payment.KindRefund)
	})
	t.Run("after it, and tried again", func(t *testing.T) {
		t.Parallel()
		s := open(t, nil)
		s.Provider.Fault(t, `{"after":{"path":"/v1/payments/*/capture","drop":true,"count":2}}`)
		order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
		s.Await(t, order, "shipped")
		s.WantAllTrue(t)
		s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture)
	})
}

// Temporal OMS: when the shipment fails after the charge, nothing is refunded and
// nothing released; stock is simulated.
//
// Ours undoes both by one event, order-cancelled, and the unit is there for the
// next customer.
func TestNothingUndoneAfterTheCharge(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Stock(t, last, 1)
	s.Exec(t, `create function fail() returns trigger language plpgsql as $$ begin raise 'the carrier has no vans'; end $$`)
	s.Exec(t, `create trigger fail before insert on shipments for each row execute function fail()`)
	order := s.Place(t, pipelinetest.Basket(last, 1, visa))
	s.AwaitPayment(t, order, payment.StateCaptured)
	s.WantStock(t, last, 1, 1, 0)
	s.Cancel(t, order)
	s.AwaitPayment(t, order, payment.StateRefunded)
	s.AwaitAnswer(t, "0", `select reserved::text from stock where sku = $1`, last)
	s.Exec(t, `drop trigger fail on shipments`)
	next := s.Place(t, pipelinetest.Basket(last, 1, visa))
	s.Await(t, next, "shipped")
	s.WantStock(t, last, 0, 0, 1)
	s.WantAllTrue(t)
	s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture, payment.KindRefund)
}

// Open Food Network: three Stripe payments of one order, when "Place order" is
// pressed by several hands at once.
//
// Ours has one order of one key, and one PaymentIntent of one order, however often
// either is asked for.
func TestThreePaymentsForOneOrder(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	s := open(t, stripe.Environment())
	s.Gate(pipelinetest.KafkaSink).Repeat(3)
	order := s.placeAtOnce(t, pipelinetest.Basket(tea, 1, visa), "pressed", 10)
	s.Await(t, order, "shipped")
	s.WantAllTrue(t)
	if intents := stripe.Intents(order.ID.String()); intents != 1 {
		t.Errorf("Stripe has %d payments of one order", intents)
	}
	if kinds := stripe.Kinds(t, order.ID.String()); len(kinds) != 2 || kinds[0] != payment.KindAuthorise || kinds[1] != payment.KindCapture {
		t.Errorf("Stripe's movements are %v, want one authorisation and one capture", kinds)
	}
}

// placeAtOnce sends one order with one key by several hands, who must all be told
// of the same order.
func (s shop) placeAtOnce(t *testing.T, body, key string, hands int) pipelinetest.Order {
	t.Helper()
	answers := make([]pipelinetest.Answer, hands)
	var pressing sync.WaitGroup
	for i := range hands {
		pressing.Go(func() {
			var err error
			if answers[i], err = s.Post(t.Context(), "/api/orders", body, key); err != nil {
				t.Error(err)
			}
		})
	}
	pressing.Wait()
	order := answers[0].Order(t)
	for _, answer := range answers {
		if other := answer.Order(t); other.ID != order.ID {
			t.Errorf("one key has placed %s and %s", order.Number, other.Number)
		}
	}
	if orders := s.Ask(t, `select count(*)::text from orders`); orders != "1" {
		t.Errorf("there are %s orders, want 1", orders)
	}
	return order
}
