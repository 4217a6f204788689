package function_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-cancellation"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestReturnsConform(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{
		New: function.New, Accepts: events.TypeOrderReturned,
		Environment: func(tb testing.TB) map[string]string { return sandboxtest.Start(tb).Environment() },
		Prepare: func(tb testing.TB, pool *pgxpool.Pool, variables map[string]string, order stagetest.Order) {
			provider := sandboxtest.Connect(variables)
			authorise(tb, provider, order, stagetest.PaymentMethod)
			if _, err := provider.Capture(tb.Context(), order.ID.String()); err != nil {
				tb.Fatal(err)
			}
			hasShipped(tb, pool, order)
		},
	})
}

// hasShipped writes what earlier functions would have.
func hasShipped(tb testing.TB, pool *pgxpool.Pool, order stagetest.Order) {
	tb.Helper()
	record(tb, pool, order, payment.StateCaptured)
	reserve(tb, pool, order, "shipped")
	exec(tb, pool, `update stock s set on_hand = on_hand - r.quantity, shipped = shipped + r.quantity from reservations r
		where r.sku = s.sku and r.order_id = $1`, order.ID)
}

// sold is an order that has shipped, and is paid at the provider.
func (s *shop) sold() stagetest.Order {
	s.tb.Helper()
	order := stagetest.Place(s.tb, s.pool, events.StatusShipped)
	authorise(s.tb, s.provider, order, stagetest.PaymentMethod)
	capture(s.tb, s.provider, order)
	hasShipped(s.tb, s.pool, order)
	return order
}

// comesBack has a return happen to an order.
func (s *shop) comesBack(order stagetest.Order, number int, refund int64, lines ...events.ReturnedLine) events.OrderReturned {
	s.tb.Helper()
	told := events.OrderReturned{
		OrderID: order.ID.String(), Number: order.Number, ReturnNumber: number, Reason: events.ReturnNotWanted,
		Lines: append([]events.ReturnedLine{}, lines...), Refund: events.Money{Amount: refund, Currency: "EUR"}, Total: order.Total,
	}
	order.Happen(s.tb, s.pool, told)
	return told
}

func (s *shop) takesBack(order stagetest.Order, told events.OrderReturned, want int) {
	s.tb.Helper()
	if status, body := order.DeliverData(s.tb, s.url, told); status != want {
		s.tb.Errorf("delivery answered %d %s, want %d", status, body, want)
	}
}

func units(sku string, quantity int, restocked bool) events.ReturnedLine {
	return events.ReturnedLine{SKU: sku, Quantity: quantity, Restocked: restocked}
}

// given is what an order's customer was given back, and what is for sale again.
type given struct {
	State    payment.State
	Refunded int64
	Closed   bool
	One, Two int // of the order
	OnHand   int // of TEST-ONE
	Returned int
}

func (s *shop) wantGiven(order stagetest.Order, want given) {
	s.tb.Helper()
	var g given
	err := s.pool.QueryRow(s.tb.Context(), `select p.state, p.refunded_amount, p.closed_at is not null, one.returned, two.returned, k.on_hand, k.returned
		from payments p join reservations one on one.order_id = p.order_id and one.sku = $2
		join reservations two on two.order_id = p.order_id and two.sku = $3 join stock k on k.sku = $2
		where p.order_id = $1`, order.ID, stagetest.SKUOne, stagetest.SKUTwo).
		Scan(&g.State, &g.Refunded, &g.Closed, &g.One, &g.Two, &g.OnHand, &g.Returned)
	if err != nil {
		s.tb.Fatal(err)
	}
	if diff := cmp.Diff(want, g); diff != "" {
		s.tb.Errorf("what was given back (-want +got):\n%s", diff)
	}
}

// wantRefunds checks the amounts of the provider's refunds, in any order.
func (s *shop) wantRefunds(order stagetest.Order, want ...int64) {
	s.tb.Helper()
	amounts := map[int64]int{}
	for _, amount := range want {
		amounts[amount]++
	}
	for _, moved := range s.provider.Movements(s.tb, order.ID.String()) {
		if moved.Kind == payment.KindRefund {
			amounts[moved.Amount.Amount]--
		}
	}
	for amount, left := range amounts {
		if left != 0 {
			s.tb.Errorf("the provider lacks %d refunds of %d", left, amount)
		}
	}
}

// wantFolds checks that journals and events agree on what came back.
func (s *shop) wantFolds() {
	s.tb.Helper()
	all, err := invariants.All()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, one := range all {
		switch one.Name {
		case "returns_are_carried_out", "stock_is_conserved", "stock_is_the_fold_of_its_journal", "stock_shipped_was_reserved", "transfers_follow_the_orders_story",
			"payments_are_the_fold_of_their_journal", "reservations_are_the_fold_of_their_journal", "money_is_kept_only_for_shipped_orders":
			if violations, err := invariants.Check(s.tb.Context(), s.pool, one); err != nil || len(violations) > 0 {
				s.tb.Errorf("%s: %v (%v)", one.Name, violations, err)
			}
		}
	}
}

// What is good is for sale again, what is damaged isn't, and money goes back either way.
func TestReturnsOfAnOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.sold()
	first := s.comesBack(order, 1, 1250, units(stagetest.SKUOne, 1, true))
	second := s.comesBack(order, 2, 50, units(stagetest.SKUOne, 1, false), units(stagetest.SKUTwo, 1, true))
	goodwill := s.comesBack(order, 3, 2000)
	s.takesBack(order, first, http.StatusOK)
	s.wantGiven(order, given{State: payment.StateCaptured, Refunded: 1250, One: 1, OnHand: 99, Returned: 1})
	s.takesBack(order, second, http.StatusOK)
	s.wantGiven(order, given{State: payment.StateCaptured, Refunded: 1300, One: 1, Two: 1, OnHand: 99, Returned: 1})
	s.takesBack(order, goodwill, http.StatusOK)
	s.takesBack(order, first, http.StatusOK)
	s.wantGiven(order, given{State: payment.StateRefunded, Refunded: 3300, Closed: true, One: 1, Two: 1, OnHand: 99, Returned: 1})
	s.wantRefunds(order, 1250, 50, 2000)
	s.wantFolds()
	want := []string{"refund 1250 order-returned/1", "refund 50 order-returned/2", "refund 2000 order-returned/3"}
	rows, err := s.pool.Query(t.Context(), `select concat_ws(' ', kind, amount, cause) from money_transfers where order_id = $1 and kind = 'refund' order by id`, order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if journal, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || cmp.Diff(want, journal) != "" {
		t.Errorf("journal of money: %v (%v), want %v", journal, err, want)
	}
}

// Returns of one order at once, each delivered several times, the later ones before
// the earlier: each is carried out once.
func TestReturnsAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	order, other := s.sold(), s.sold()
	var group sync.WaitGroup
	for _, told := range []events.OrderReturned{
		s.comesBack(order, 1, 1000, units(stagetest.SKUOne, 1, true)), s.comesBack(order, 2, 1000, units(stagetest.SKUOne, 1, true), units(stagetest.SKUTwo, 1, true)),
		s.comesBack(order, 3, 1300), s.comesBack(other, 1, 3300, units(stagetest.SKUTwo, 1, true), units(stagetest.SKUOne, 2, true)),
	} {
		to := order
		if told.OrderID == other.ID.String() {
			to = other
		}
		for range 4 {
			group.Go(func() {
				if status, body := to.DeliverData(t, s.url, told); status != http.StatusOK && status != http.StatusServiceUnavailable {
					t.Errorf("delivery answered %d %s", status, body)
				}
			})
		}
	}
	group.Wait()
	s.wantGiven(order, given{State: payment.StateRefunded, Refunded: 3300, Closed: true, One: 2, Two: 1, OnHand: 100, Returned: 4})
	s.wantGiven(other, given{State: payment.StateRefunded, Refunded: 3300, Closed: true, One: 2, Two: 1, OnHand: 100, Returned: 4})
	s.wantRefunds(order, 1000, 1000, 1300)
	s.wantRefunds(other, 3300)
	s.wantFolds()
}

func TestRefundFailsThenComes(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]string{
		"down":              `{"before":{"status":503}}`,
		"unreachable":       `{"before":{"drop":true}}`,
		"acts, answer lost": `{"after":{"path":"/v1/payments/*/refunds","drop":true}}`,
		"acts, answers 500": `{"after":{"path":"/v1/payments/*/refunds","status":500}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.sold()
			told := s.comesBack(order, 1, 1250, units(stagetest.SKUOne, 1, true))
			s.provider.Fault(t, plan)
			s.takesBack(order, told, http.StatusServiceUnavailable)
			s.wantGiven(order, given{State: payment.StateCaptured, OnHand: 98})
			s.provider.Fault(t, `{}`)
			s.takesBack(order, told, http.StatusOK)
			s.wantGiven(order, given{State: payment.StateCaptured, Refunded: 1250, One: 1, OnHand: 99, Returned: 1})
			s.wantRefunds(order, 1250)
			s.wantFolds()
		})
	}
}

// The money is given back, and the database can't write it down: the delivery comes
// again, and gives nothing twice. The next return needn't wait for it.
func TestRefundThatNobodyCouldWriteDown(t *testing.T) {
	t.Parallel()
	for table, event := range map[string]string{"payments": "update", "reservations": "update", "stock": "update", "order_events": "insert"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.sold()
			first, second := s.comesBack(order, 1, 1250, units(stagetest.SKUOne, 1, true)), s.comesBack(order, 2, 700, units(stagetest.SKUTwo, 1, true))
			exec(t, s.pool, `create function fail() returns trigger language plpgsql as $$ begin raise 'out of disk'; end $$`)
			exec(t, s.pool, `create trigger fail before `+event+` on `+table+` for each row execute function fail()`)
			s.takesBack(order, first, http.StatusServiceUnavailable)
			s.wantGiven(order, given{State: payment.StateCaptured, OnHand: 98})
			exec(t, s.pool, `drop trigger fail on `+table)
			s.takesBack(order, second, http.StatusOK)
			s.takesBack(order, first, http.StatusOK)
			s.wantGiven(order, given{State: payment.StateCaptured, Refunded: 1950, One: 1, Two: 1, OnHand: 99, Returned: 1})
			s.wantRefunds(order, 1250, 700)
			s.wantFolds()
		})
	}
}

// Somebody has given money back in the provider's own pages: what isn't there can't
// be given again, and people learn of it.
func TestRefundIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.sold()
	if _, err := s.provider.Release(t.Context(), order.ID.String()); err != nil {
		t.Fatal(err)
	}
	s.takesBack(order, s.comesBack(order, 1, 1250, units(stagetest.SKUOne, 1, true)), http.StatusUnprocessableEntity)
	s.wantGiven(order, given{State: payment.StateCaptured, OnHand: 98})
}

// An event that says more than our books have is no reason to write nonsense.
func TestMoreComesBackThanWasShipped(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.sold()
	s.takesBack(order, s.comesBack(order, 1, 100, units(stagetest.SKUOne, 3, true)), http.StatusServiceUnavailable)
	s.takesBack(order, s.comesBack(order, 2, 100, units("TEST-TEN", 1, true)), http.StatusServiceUnavailable)
	s.wantGiven(order, given{State: payment.StateCaptured, OnHand: 98})
}

// With Stripe it is the same, but for who gives the money back.
func TestStripeRefundsReturns(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	s := &shop{tb: t, pool: postgrestest.New(t)}
	variables, provider := stripe.Environment(), stripe.Connect(t)
	variables["DATABASE_URL"] = s.pool.Config().ConnString()
	s.url = stagetest.Run(t, function.New(), variables)
	order := stagetest.Place(t, s.pool, events.StatusShipped)
	authorise(t, provider, order, stagetest.PaymentMethod)
	if _, err := provider.Capture(t.Context(), payment.Order{ID: order.ID.String(), Total: order.Total}); err != nil {
		t.Fatal(err)
	}
	hasShipped(t, s.pool, order)
	first, second := s.comesBack(order, 1, 1250, units(stagetest.SKUOne, 1, true)), s.comesBack(order, 2, 2050)
	stripe.Fault(t, `{"after":{"path":"/v1/refunds","method":"POST","drop":true,"count":2}}`)
	s.takesBack(order, first, http.StatusServiceUnavailable)
	s.takesBack(order, first, http.StatusOK)
	s.takesBack(order, second, http.StatusOK)
	s.wantGiven(order, given{State: payment.StateRefunded, Refunded: 3300, Closed: true, One: 1, OnHand: 99, Returned: 1})
	want := []payment.Kind{payment.KindAuthorise, payment.KindCapture, payment.KindRefund, payment.KindRefund}
	if diff := cmp.Diff(want, stripe.Kinds(t, order.ID.String())); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
}
