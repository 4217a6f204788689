package function_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/payment-verification"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// The function's own tests are with the sandbox. With Stripe it is the same, but
// for who holds the money.
func TestStripeHoldsTheMoney(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	s := &shop{tb: t, pool: postgrestest.New(t), sink: stagetest.NewSink(t)}
	variables := stripe.Environment()
	variables["DATABASE_URL"], variables["K_SINK"] = s.pool.Config().ConnString(), s.sink.URL()
	s.url = stagetest.Run(t, function.New(), variables)

	paid, poor := s.place(stagetest.PaymentMethod), s.place("pm_card_visa_chargeDeclinedInsufficientFunds")
	stripe.Fault(t, `{"after":{"path":"/v1/payment_intents/*/confirm","status":502,"count":1}}`)
	s.deliver(paid, http.StatusServiceUnavailable)
	s.deliver(paid, http.StatusOK)
	s.deliver(poor, http.StatusOK)

	s.wantOrder(paid, events.StatusPaymentVerified, "", payment.StateAuthorised)
	s.wantOrder(poor, events.StatusCancelled, events.ReasonPaymentDeclined, payment.StateDeclined)
	if got := s.books(paid); got.id != "pi_1" || got.amount != paid.Total {
		t.Errorf("our books: %+v, want pi_1 of %s", got, paid.Total)
	}
	if got := s.books(poor).code; got != "insufficient_funds" {
		t.Errorf("declined for %q", got)
	}
	if diff := cmp.Diff([]payment.Kind{payment.KindAuthorise}, stripe.Kinds(t, paid.ID.String())); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
}
