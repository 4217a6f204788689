package function_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-cancellation"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{
		New: function.New, Accepts: events.TypeOrderCancelled,
		Environment: func(tb testing.TB) map[string]string { return sandboxtest.Start(tb).Environment() },
		Prepare: func(tb testing.TB, pool *pgxpool.Pool, variables map[string]string, order stagetest.Order) {
			authorise(tb, sandboxtest.Connect(variables), order, stagetest.PaymentMethod)
			record(tb, pool, order, payment.StateAuthorised)
			reserve(tb, pool, order, "held")
		},
	})
}

// authoriser is the sandbox, by either of its clients.
type authoriser interface {
	Authorise(ctx context.Context, req payment.AuthoriseRequest) (payment.Payment, error)
}

func authorise(tb testing.TB, p authoriser, order stagetest.Order, method string) payment.Payment {
	tb.Helper()
	authorised, err := p.Authorise(tb.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: order.Total, Method: method,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return authorised
}

func capture(tb testing.TB, p *sandboxtest.Provider, order stagetest.Order) {
	tb.Helper()
	if _, err := p.Capture(tb.Context(), order.ID.String()); err != nil {
		tb.Fatal(err)
	}
}

// record writes a payment row as earlier functions do. The id is what the
// sandbox gives, which makes it of the order.
func record(tb testing.TB, pool *pgxpool.Pool, order stagetest.Order, state payment.State) {
	tb.Helper()
	scratch := authorise(tb, sandboxtest.Start(tb), order, stagetest.PaymentMethod)
	exec(tb, pool, `insert into payments (order_id, provider_id, state, amount, currency, decline_code, authorised_at)
		values ($1, $2, $3, $4, $5, case $3 when 'declined' then 'card_declined' end, now())`,
		order.ID, scratch.ID, string(state), order.Total.Amount, order.Total.Currency)
}

// reserve holds an order's lines in stock, or says that they were once held.
func reserve(tb testing.TB, pool *pgxpool.Pool, order stagetest.Order, state string) {
	tb.Helper()
	for _, line := range order.Lines {
		exec(tb, pool, `insert into reservations (order_id, sku, quantity, state) values ($1, $2, $3, $4)`,
			order.ID, line.SKU, line.Quantity, state)
		if state == "held" {
			exec(tb, pool, `update stock set reserved = reserved + $2 where sku = $1`, line.SKU, line.Quantity)
		}
	}
}

func exec(tb testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	tb.Helper()
	if _, err := pool.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatal(err)
	}
}

// shop is the function at work, with everything around it.
type shop struct {
	tb       testing.TB
	pool     *pgxpool.Pool
	provider *sandboxtest.Provider
	url      string
}

func open(tb testing.TB) *shop {
	tb.Helper()
	s := &shop{tb: tb, pool: postgrestest.New(tb), provider: sandboxtest.Start(tb)}
	variables := s.provider.Environment()
	variables["DATABASE_URL"], variables["K_SINK"] = s.pool.Config().ConnString(), stagetest.NewSink(tb).URL()
	variables["DATABASE_MAX_CONNS"] = "25"
	s.url = stagetest.Run(tb, function.New(), variables)
	return s
}

// place stores a cancelled order.
func (s *shop) place(reason events.Reason) stagetest.Order {
	s.tb.Helper()
	order := stagetest.Place(s.tb, s.pool, events.StatusCancelled)
	exec(s.tb, s.pool, `update orders set cancel_reason = $2 where id = $1`, order.ID, string(reason))
	return order
}

func (s *shop) deliver(order stagetest.Order, want int) {
	s.tb.Helper()
	if status, body := order.Deliver(s.tb, s.url, events.TypeOrderCancelled); status != want {
		s.tb.Errorf("delivery answered %d %s, want %d", status, body, want)
	}
}

// left is what an order leaves behind.
type left struct {
	Payment               payment.State
	Captured, Closed      bool
	Held, Shipped, LetGo  int
	ReservedOne, OnHand   int
	ReservedTwo, SoldOnce int
}

func (s *shop) left(order stagetest.Order) left {
	s.tb.Helper()
	var l left
	err := s.pool.QueryRow(s.tb.Context(), `
		select coalesce(p.state, 'none'), coalesce(p.captured_at is not null, false), coalesce(p.closed_at is not null, false),
		       (select count(*) from reservations where order_id = o.id and state = 'held'),
		       (select count(*) from reservations where order_id = o.id and state = 'shipped'),
		       (select count(*) from reservations where order_id = o.id and state = 'released'),
		       one.reserved, one.on_hand, two.reserved, one.shipped
		from orders o
		left join payments p on p.order_id = o.id
		join stock one on one.sku = $2 join stock two on two.sku = $3
		where o.id = $1`, order.ID, stagetest.SKUOne, stagetest.SKUTwo).
		Scan(&l.Payment, &l.Captured, &l.Closed, &l.Held, &l.Shipped, &l.LetGo,
			&l.ReservedOne, &l.OnHand, &l.ReservedTwo, &l.SoldOnce)
	if err != nil {
		s.tb.Fatal(err)
	}
	return l
}

func (s *shop) want(order stagetest.Order, want left) {
	s.tb.Helper()
	if diff := cmp.Diff(want, s.left(order)); diff != "" {
		s.tb.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func (s *shop) wantMoved(order stagetest.Order, want ...payment.Kind) {
	s.tb.Helper()
	if diff := cmp.Diff(want, s.provider.Kinds(s.tb, order.ID.String())); diff != "" {
		s.tb.Errorf("movements at the provider (-want +got):\n%s", diff)
	}
}

func TestCustomerCancelsReservedOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	authorise(t, s.provider, order, stagetest.PaymentMethod)
	record(t, s.pool, order, payment.StateAuthorised)
	reserve(t, s.pool, order, "held")
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateVoided, Closed: true, LetGo: 2, OnHand: 100})
	s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
}

func TestOutOfStockVoidsThePayment(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonOutOfStock)
	authorise(t, s.provider, order, stagetest.PaymentMethod)
	record(t, s.pool, order, payment.StateAuthorised)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateVoided, Closed: true, OnHand: 100})
	s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
}

func TestDeclinedPaymentStaysDeclined(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonPaymentDeclined)
	authorise(t, s.provider, order, "pm_card_visa_chargeDeclined")
	record(t, s.pool, order, payment.StateDeclined)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateDeclined, OnHand: 100})
	s.wantMoved(order, payment.KindDecline)
}

// Whoever wanted to capture lost the hold, and its row still says authorised.
func TestDeclinedCaptureIsClosed(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonPaymentDeclined)
	authorise(t, s.provider, order, "pm_card_chargeCustomerFail")
	capture(t, s.provider, order)
	record(t, s.pool, order, payment.StateAuthorised)
	reserve(t, s.pool, order, "held")
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateDeclined, Closed: true, LetGo: 2, OnHand: 100})
}

func TestCapturedPaymentIsRefunded(t *testing.T) {
	t.Parallel()
	for _, recorded := range []payment.State{payment.StateAuthorised, payment.StateCaptured} {
		t.Run(string(recorded), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(events.ReasonCustomerRequest)
			authorise(t, s.provider, order, stagetest.PaymentMethod)
			capture(t, s.provider, order)
			record(t, s.pool, order, recorded)
			s.deliver(order, http.StatusOK)
			s.deliver(order, http.StatusOK)
			s.want(order, left{Payment: payment.StateRefunded, Captured: true, Closed: true, OnHand: 100})
			s.wantMoved(order, payment.KindAuthorise, payment.KindCapture, payment.KindRefund)
		})
	}
}

// A row is of the payment that it names: how another one ended, which nobody can
// have asked for, says nothing of it. The audit finds the two books at odds.
func TestAnotherPaymentOnRecordStands(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	authorise(t, s.provider, order, stagetest.PaymentMethod)
	exec(t, s.pool, `insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'pay_another', 'authorised', 3300, 'EUR')`, order.ID)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateAuthorised, OnHand: 100})
	s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
}

// Payment-verification died between the provider's answer and its commit.
func TestPaymentThatNobodyWroteDown(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	authorise(t, s.provider, order, stagetest.PaymentMethod)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateVoided, Closed: true, OnHand: 100})
	s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
}

// The cancellation overtakes the authorisation, which then holds nothing.
func TestAuthorisationArrivesAfterTheCancellation(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateNone, OnHand: 100})
	if late := authorise(t, s.provider, order, stagetest.PaymentMethod); late.Secured() {
		t.Errorf("an authorisation after the release is %s", late.State)
	}
	s.wantMoved(order, payment.KindDecline)
}

func TestWhatIsNotHeldStays(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"shipped", "released"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order, other := s.place(events.ReasonCustomerRequest), s.place(events.ReasonCustomerRequest)
			reserve(t, s.pool, order, state)
			reserve(t, s.pool, other, "held")
			want := left{Payment: payment.StateNone, ReservedOne: 2, ReservedTwo: 1, OnHand: 100, Shipped: 2}
			if state == "released" {
				want.Shipped, want.LetGo = 0, 2
			}
			s.deliver(order, http.StatusOK)
			s.want(order, want)
		})
	}
}

// Stock that says that less is reserved than the order holds is wrong
// somewhere: nothing is returned on such figures.
func TestReservedNeverBelowZero(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	reserve(t, s.pool, order, "held")
	exec(t, s.pool, `update stock set reserved = 0 where sku = $1`, stagetest.SKUTwo)
	s.deliver(order, http.StatusServiceUnavailable)
	s.want(order, left{Payment: payment.StateNone, Held: 2, ReservedOne: 2, OnHand: 100})
	exec(t, s.pool, `update stock set reserved = 1 where sku = $1`, stagetest.SKUTwo)
	s.deliver(order, http.StatusOK)
	s.want(order, left{Payment: payment.StateNone, LetGo: 2, OnHand: 100})
}

func TestProviderFailsThenRecovers(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]string{
		"down":                `{"before":{"status":503}}`,
		"unreachable":         `{"before":{"drop":true}}`,
		"acts, answer lost":   `{"before":{"method":"GET","drop":true},"after":{"path":"/v1/payments/*/release","drop":true}}`,
		"acts, then says 500": `{"before":{"method":"GET","drop":true},"after":{"path":"/v1/payments/*/release","status":500}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(events.ReasonCustomerRequest)
			authorise(t, s.provider, order, stagetest.PaymentMethod)
			record(t, s.pool, order, payment.StateAuthorised)
			reserve(t, s.pool, order, "held")
			before := stagetest.Snapshot(t, s.pool)
			s.provider.Fault(t, plan)
			for range 3 {
				s.deliver(order, http.StatusServiceUnavailable)
			}
			after := stagetest.Snapshot(t, s.pool)
			delete(before, "payment_attempts") // where they are on record
			delete(after, "payment_attempts")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("a failed delivery left its mark (-before +after):\n%s", diff)
			}
			s.provider.Fault(t, `{}`)
			s.deliver(order, http.StatusOK)
			s.want(order, left{Payment: payment.StateVoided, Closed: true, LetGo: 2, OnHand: 100})
			s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
		})
	}
}

// A release that nobody heard the end of isn't made again: the provider is asked, and
// has given the money back.
func TestReleaseIsAskedAbout(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	authorise(t, s.provider, order, stagetest.PaymentMethod)
	record(t, s.pool, order, payment.StateAuthorised)
	s.provider.Fault(t, `{"after":{"path":"/v1/payments/*/release","drop":true}}`)
	s.deliver(order, http.StatusServiceUnavailable)
	s.deliver(order, http.StatusOK) // the call would fail again
	s.want(order, left{Payment: payment.StateVoided, Closed: true, OnHand: 100})
	s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
}

// The money is released, and the database can't write it down: the delivery comes
// again, and neither money nor stock goes back twice.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	for table, event := range map[string]string{"payments": "insert", "reservations": "update", "order_events": "insert"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(events.ReasonCustomerRequest)
			authorise(t, s.provider, order, stagetest.PaymentMethod)
			record(t, s.pool, order, payment.StateAuthorised)
			reserve(t, s.pool, order, "held")
			exec(t, s.pool, `create function fail() returns trigger language plpgsql as $$ begin raise 'out of disk'; end $$`)
			exec(t, s.pool, `create trigger fail before `+event+` on `+table+` for each row execute function fail()`)
			s.deliver(order, http.StatusServiceUnavailable)
			s.want(order, left{Payment: payment.StateAuthorised, Held: 2, ReservedOne: 2, ReservedTwo: 1, OnHand: 100})
			exec(t, s.pool, `drop trigger fail on `+table)
			s.deliver(order, http.StatusOK)
			s.want(order, left{Payment: payment.StateVoided, Closed: true, LetGo: 2, OnHand: 100})
			s.wantMoved(order, payment.KindAuthorise, payment.KindVoid)
		})
	}
}

// What the provider refuses for good is for an operator, not for a retry.
func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(events.ReasonCustomerRequest)
	reserve(t, s.pool, order, "held")
	s.provider.Fault(t, `{"before":{"path":"/v1/payments/*/release","status":400}}`)
	s.deliver(order, http.StatusUnprocessableEntity)
	s.want(order, left{Payment: payment.StateNone, Held: 2, ReservedOne: 2, ReservedTwo: 1, OnHand: 100})
}

func TestSettingsAreNamedWhenMissing(t *testing.T) {
	t.Parallel()
	made := function.New()
	if err := made.Start(t.Context(), map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/x"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Stop(t.Context()) })
	_, err := made.Ready(t.Context())
	want := "order-cancellation can't start: environment: PAYMENT_PROVIDER_URL is not set; PAYMENT_PROVIDER_KEY is not set"
	if err == nil || err.Error() != want {
		t.Errorf("not ready: %v, want %q", err, want)
	}
}
