package function_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/payment-verification"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

const (
	verified  = "payment-verified"
	cancelled = "order-cancelled"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{
		New: function.New, Accepts: events.TypeOrderPlaced, Next: verified,
		Environment: func(tb testing.TB) map[string]string { return sandboxtest.Start(tb).Environment() },
	})
}

// shop is the function at work, with everything around it.
type shop struct {
	tb       testing.TB
	pool     *pgxpool.Pool
	sink     *stagetest.Sink
	provider provider
	url      string
}

func open(tb testing.TB) *shop {
	tb.Helper()
	s := &shop{tb: tb, pool: postgrestest.New(tb), sink: stagetest.NewSink(tb), provider: provider{sandboxtest.Start(tb)}}
	variables := s.provider.Environment()
	variables["DATABASE_URL"], variables["K_SINK"] = s.pool.Config().ConnString(), s.sink.URL()
	variables["DATABASE_MAX_CONNS"] = "25"
	s.url = stagetest.Run(tb, function.New(), variables)
	return s
}

func (s *shop) place(method string) stagetest.Order {
	s.tb.Helper()
	order := stagetest.Place(s.tb, s.pool, events.StatusPlaced)
	s.exec(`update orders set payment_method = $2 where id = $1`, order.ID, method)
	return order
}

func (s *shop) exec(sql string, args ...any) {
	s.tb.Helper()
	if _, err := s.pool.Exec(s.tb.Context(), sql, args...); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *shop) deliver(order stagetest.Order, want int) string {
	s.tb.Helper()
	status, body := order.Deliver(s.tb, s.url, events.TypeOrderPlaced)
	if status != want {
		s.tb.Errorf("delivery answered %d %s, want %d", status, body, want)
	}
	return body
}

// books is what our own tables say of an order.
type books struct {
	status  events.Status
	reason  events.Reason
	payment payment.State
	code    string
	amount  events.Money
	id      string
}

func (s *shop) books(order stagetest.Order) books {
	s.tb.Helper()
	var b books
	err := s.pool.QueryRow(s.tb.Context(), `
		select o.status, coalesce(o.cancel_reason, ''), coalesce(p.state, 'none'), coalesce(p.decline_code, ''),
		       coalesce(p.amount, 0), coalesce(p.currency, ''), coalesce(p.provider_id, '')
		from orders o left join payments p on p.order_id = o.id where o.id = $1`, order.ID).
		Scan(&b.status, &b.reason, &b.payment, &b.code, &b.amount.Amount, &b.amount.Currency, &b.id)
	if err != nil {
		s.tb.Fatal(err)
	}
	return b
}

// wantSame checks that our books and the provider's tell the same payment.
func (s *shop) wantSame(order stagetest.Order) {
	s.tb.Helper()
	ours, theirs := s.books(order), s.provider.standing(s.tb, order.ID.String())
	if ours.payment != theirs.State || ours.amount != theirs.Amount || ours.id != theirs.ID || ours.code != theirs.DeclineCode {
		s.tb.Errorf("our books: %+v, the provider's: %+v", ours, theirs.Payment)
	}
}

func (s *shop) wantOrder(order stagetest.Order, status events.Status, reason events.Reason, state payment.State) {
	s.tb.Helper()
	if got := s.books(order); got.status != status || got.reason != reason || got.payment != state {
		s.tb.Errorf("order is %s (%s) with a payment %s, want %s (%s) with %s",
			got.status, got.reason, got.payment, status, reason, state)
	}
}

func (s *shop) wantSent(order stagetest.Order, names ...string) {
	s.tb.Helper()
	var want []string
	for _, name := range names {
		want = append(want, order.ID.String()+"/"+name)
	}
	if got := s.sink.IDs(); len(got) != len(want) || (len(want) > 0 && got[0] != want[0]) {
		s.tb.Errorf("sent %v, want %v", got, want)
	}
}

func TestVerifies(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	s.deliver(order, http.StatusOK)
	s.wantOrder(order, events.StatusPaymentVerified, "", payment.StateAuthorised)
	s.wantSame(order)
	s.provider.standing(t, order.ID.String()).wantHeld(t, order.Total, 1)
	var sent events.PaymentVerified
	if err := s.sink.Sent()[0].Event.DataAs(&sent); err != nil || sent.PaymentID != s.books(order).id || sent.Total != order.Total {
		t.Errorf("sent %+v (%v)", sent, err)
	}
}

func TestDeclines(t *testing.T) {
	t.Parallel()
	for method, code := range map[string]string{
		"pm_card_visa_chargeDeclined":                  "card_declined",
		"pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
		"pm_card_chargeDeclinedExpiredCard":            "expired_card",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(method)
			s.deliver(order, http.StatusOK)
			s.deliver(order, http.StatusOK)
			s.wantOrder(order, events.StatusCancelled, events.ReasonPaymentDeclined, payment.StateDeclined)
			if got := s.books(order).code; got != code {
				t.Errorf("declined for %q, want %q", got, code)
			}
			s.wantSame(order)
			s.wantSent(order, cancelled)
			s.provider.standing(t, order.ID.String()).wantHeld(t, events.Money{}, 0)
		})
	}
}

// What the provider doesn't know will never pay, so the customer hears of it
// instead of an operator.
func TestUnknownMethodIsADecline(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place("pm_of_another_provider")
	s.deliver(order, http.StatusOK)
	s.wantOrder(order, events.StatusCancelled, events.ReasonPaymentDeclined, payment.StateNone)
	s.wantSent(order, cancelled)
}

func TestProviderDownIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]string{
		"answers 500": `{"before":{"path":"/v1/payments","status":500,"count":1}}`,
		"answers 429": `{"before":{"path":"/v1/payments","status":429,"count":1}}`,
		"answers 401": `{"before":{"path":"/v1/payments","status":401,"count":1}}`,
		"cuts off":    `{"before":{"path":"/v1/payments","drop":true}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			s.provider.Fault(t, plan)
			before := stagetest.Snapshot(t, s.pool)
			s.deliver(order, http.StatusServiceUnavailable)
			if after := stagetest.Snapshot(t, s.pool); after["orders"] != before["orders"] || after["payments"] != before["payments"] {
				t.Error("a failed delivery left its mark")
			}
			s.provider.Fault(t, `{}`)
			s.deliver(order, http.StatusOK)
			s.provider.standing(t, order.ID.String()).wantHeld(t, order.Total, 1)
			s.wantSame(order)
		})
	}
}

// The provider has acted and nobody heard: it is asked how the payment stands, and not
// to hold it again.
func TestUnknownOutcomeIsOnePayment(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]string{
		"answer lost":    `{"after":{"path":"/v1/payments","drop":true}}`,
		"answers 502":    `{"after":{"path":"/v1/payments","status":502}}`,
		"lost, declined": `{"after":{"path":"/v1/payments","status":503}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			method, status, held := stagetest.PaymentMethod, events.StatusPaymentVerified, int64(1)
			if name == "lost, declined" {
				method, status, held = "pm_card_visa_chargeDeclined", events.StatusCancelled, 0
			}
			order := s.place(method)
			s.provider.Fault(t, plan)
			s.deliver(order, http.StatusServiceUnavailable)
			s.deliver(order, http.StatusOK) // by asking: the call would fail again
			if got := s.books(order).status; got != status {
				t.Errorf("order is %s, want %s", got, status)
			}
			s.provider.standing(t, order.ID.String()).wantHeld(t, events.Money{Amount: held * order.Total.Amount}, held)
			s.wantSame(order)
		})
	}
}

// The provider holds the money, and the database can't write it down: the delivery
// comes again and gets the same payment.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"payments", "order_events"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			s.exec(`create function fail() returns trigger language plpgsql as $$ begin raise 'out of disk'; end $$`)
			s.exec(`create trigger fail before insert on ` + table + ` for each row execute function fail()`)
			s.deliver(order, http.StatusServiceUnavailable)
			s.provider.standing(t, order.ID.String()).wantHeld(t, order.Total, 1)
			s.wantOrder(order, events.StatusPlaced, "", payment.StateNone)
			s.exec(`drop trigger fail on ` + table)
			s.deliver(order, http.StatusOK)
			s.provider.standing(t, order.ID.String()).wantHeld(t, order.Total, 1)
			s.wantOrder(order, events.StatusPaymentVerified, "", payment.StateAuthorised)
			s.wantSame(order)
		})
	}
}

func TestAmountMismatchIsNeverCharged(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"other amount":   `update orders set total_amount = total_amount + 1 where id = $1`,
		"other currency": `update orders set currency = 'USD' where id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			s.exec(statement, order.ID)
			before := stagetest.Snapshot(t, s.pool)
			s.deliver(order, http.StatusUnprocessableEntity)
			if after := stagetest.Snapshot(t, s.pool); after["order_events"] != before["order_events"] {
				t.Error("a rejected event left its mark")
			}
			s.provider.standing(t, order.ID.String()).wantHeld(t, events.Money{}, 0)
			s.wantSent(order)
		})
	}
}

// Another payment of the same order is nothing that a retry would mend.
func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	_, err := s.provider.Authorise(t.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: events.Money{Amount: 1, Currency: "EUR"}, Method: stagetest.PaymentMethod,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(order, http.StatusUnprocessableEntity)
	s.wantOrder(order, events.StatusPlaced, "", payment.StateNone)
}

// A payment row that nobody can have written is not written over.
func TestPaymentOnRecordStands(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	s.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'other', 'authorised', 1, 'EUR')`, order.ID)
	s.deliver(order, http.StatusServiceUnavailable)
	s.wantOrder(order, events.StatusPlaced, "", payment.StateAuthorised)
}

// An order that went on without us has a payment that isn't ours to touch.
func TestOrderThatWentOnIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	s.exec(`update orders set status = 'payment_verified' where id = $1`, order.ID)
	if _, err := s.provider.Authorise(t.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: order.Total, Method: stagetest.PaymentMethod,
	}); err != nil {
		t.Fatal(err)
	}
	s.deliver(order, http.StatusOK)
	s.provider.standing(t, order.ID.String()).wantHeld(t, order.Total, 1)
	s.wantSent(order)
}

func TestSettingsAreNamedWhenMissing(t *testing.T) {
	t.Parallel()
	made := function.New()
	if err := made.Start(t.Context(), map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/x"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Stop(t.Context()) })
	server := httptest.NewServer(http.HandlerFunc(made.Handle))
	t.Cleanup(server.Close)
	_, err := made.Ready(t.Context())
	if err == nil {
		t.Fatal("ready without a payment provider")
	}
	want := "payment-verification can't start: environment: PAYMENT_PROVIDER_URL is not set; PAYMENT_PROVIDER_KEY is not set"
	if err.Error() != want {
		t.Errorf("not ready: %q, want %q", err, want)
	}
}
