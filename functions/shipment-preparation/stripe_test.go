package function

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// The function's own tests are with the sandbox. With Stripe it is the same, but
// for who keeps the money.
func TestStripeKeepsTheMoney(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	s := openWith(t, testS3(t), stripe.Environment())
	provider := stripe.Connect(t)
	place := func(method string) stagetest.Order {
		order := stagetest.Place(t, s.pool, events.StatusInventoryUpdated)
		authorise(t, s.pool, provider, order, method)
		return order
	}
	paid, poor := place(stagetest.PaymentMethod), place("pm_card_chargeCustomerFail")
	stripe.Fault(t, `{"after":{"path":"/v1/payment_intents/*/capture","status":500,"count":1}}`)
	s.deliver(paid, unavailable)
	s.deliver(paid, ok)
	s.deliver(poor, ok)

	if got := s.status(paid); got != "shipped" {
		t.Errorf("order is %s, want shipped", got)
	}
	if got := s.status(poor); got != "cancelled payment_declined" {
		t.Errorf("order is %s, want cancelled payment_declined", got)
	}
	s.wantNothingShipped(poor)
	moved := map[string][]payment.Kind{"paid": stripe.Kinds(t, paid.ID.String()), "poor": stripe.Kinds(t, poor.ID.String())}
	want := map[string][]payment.Kind{
		"paid": {payment.KindAuthorise, payment.KindCapture}, "poor": {payment.KindAuthorise, payment.KindVoid},
	}
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
}
