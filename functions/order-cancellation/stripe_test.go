package function_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-cancellation"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// The function's own tests are with the sandbox. With Stripe it is the same, but
// for who gives the money back.
func TestStripeGivesTheMoneyBack(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	s := &shop{tb: t, pool: postgrestest.New(t)}
	variables := stripe.Environment()
	provider := stripe.Connect(t)
	variables["DATABASE_URL"] = s.pool.Config().ConnString()
	s.url = stagetest.Run(t, function.New(), variables)

	held, kept := s.place(events.ReasonCustomerRequest), s.place(events.ReasonCustomerRequest)
	authorise(t, provider, held, stagetest.PaymentMethod)
	authorise(t, provider, kept, stagetest.PaymentMethod)
	if _, err := provider.Capture(t.Context(), payment.Order{ID: kept.ID.String(), Total: kept.Total}); err != nil {
		t.Fatal(err)
	}
	stripe.Fault(t, `{"after":{"path":"/v1/refunds","drop":true,"count":2}}`)
	s.deliver(kept, http.StatusServiceUnavailable)
	s.deliver(kept, http.StatusOK)
	s.deliver(held, http.StatusOK)

	s.want(held, left{Payment: payment.StateVoided, Closed: true, OnHand: 100})
	s.want(kept, left{Payment: payment.StateRefunded, Captured: true, Closed: true, OnHand: 100})
	moved := map[string][]payment.Kind{"held": stripe.Kinds(t, held.ID.String()), "kept": stripe.Kinds(t, kept.ID.String())}
	want := map[string][]payment.Kind{
		"held": {payment.KindAuthorise, payment.KindVoid}, "kept": {payment.KindAuthorise, payment.KindCapture, payment.KindRefund},
	}
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
}
