package function

import (
	"context"
	"maps"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func environment(provider *sandboxtest.Provider, s3 *s3Server) map[string]string {
	variables := provider.Environment()
	maps.Copy(variables, map[string]string{
		"LABEL_BUCKET": testBucket, "AWS_REGION": testRegion, "AWS_ENDPOINT_URL_S3": "http://" + s3.address,
		"AWS_ACCESS_KEY_ID": testAccessKey, "AWS_SECRET_ACCESS_KEY": testSecretKey,
	})
	return variables
}

// authoriser is the sandbox, by either of its clients.
type authoriser interface {
	Authorise(ctx context.Context, req payment.AuthoriseRequest) (payment.Payment, error)
}

// authorise does what payment-verification and inventory-update would have done.
func authorise(tb testing.TB, pool *pgxpool.Pool, provider authoriser, order stagetest.Order, method string) {
	tb.Helper()
	answer, err := provider.Authorise(tb.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: order.Total, Method: method,
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, statement := range []string{
		`insert into payments (order_id, provider_id, state, amount, currency, authorised_at)
		 select id, 'pay_' || id, 'authorised', total_amount, currency, now() from orders where id = $1`,
		`update stock set reserved = reserved + quantity from order_lines l where l.order_id = $1 and l.sku = stock.sku`,
		`insert into reservations (order_id, sku, quantity, state) select order_id, sku, quantity, 'held' from order_lines where order_id = $1`,
	} {
		if _, err := pool.Exec(tb.Context(), statement, order.ID); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := pool.Exec(tb.Context(), `update payments set provider_id = $2 where order_id = $1`, order.ID, answer.ID); err != nil {
		tb.Fatal(err)
	}
}

// shop is one process of the function with all it needs.
type shop struct {
	tb       testing.TB
	pool     *pgxpool.Pool
	sink     *stagetest.Sink
	provider *sandboxtest.Provider
	s3       *s3Server
	url      string
}

func open(tb testing.TB, s3 *s3Server) *shop {
	tb.Helper()
	return openWith(tb, s3, nil)
}

// openWith opens a shop whose function is told something else as well.
func openWith(tb testing.TB, s3 *s3Server, changes map[string]string) *shop {
	tb.Helper()
	s := &shop{tb: tb, pool: postgrestest.New(tb), sink: stagetest.NewSink(tb), provider: sandboxtest.Start(tb), s3: s3}
	variables := environment(s.provider, s3)
	variables["DATABASE_URL"], variables["K_SINK"], variables["DATABASE_MAX_CONNS"] = s.pool.Config().ConnString(), s.sink.URL(), "15"
	maps.Copy(variables, changes)
	s.url = stagetest.Run(tb, New(), variables)
	return s
}

// order places an order whose units are held and whose money is authorised.
func (s *shop) order(method string) stagetest.Order {
	s.tb.Helper()
	order := stagetest.Place(s.tb, s.pool, events.StatusInventoryUpdated)
	authorise(s.tb, s.pool, s.provider, order, method)
	return order
}

func (s *shop) deliver(order stagetest.Order, want int) {
	s.tb.Helper()
	if status, body := order.Deliver(s.tb, s.url, events.TypeInventoryUpdated); status != want {
		s.tb.Fatalf("delivery answered %d %s, want %d", status, body, want)
	}
}

func (s *shop) exec(statement string, args ...any) {
	s.tb.Helper()
	if _, err := s.pool.Exec(s.tb.Context(), statement, args...); err != nil {
		s.tb.Fatalf("%s: %v", statement, err)
	}
}

// ask wants one row of text.
func (s *shop) ask(question string, args ...any) string {
	s.tb.Helper()
	var answer string
	if err := s.pool.QueryRow(s.tb.Context(), question, args...).Scan(&answer); err != nil {
		s.tb.Fatalf("%s: %v", question, err)
	}
	return answer
}

// cancel does what the storefront does when the customer cancels, and tells
// whether there was still time.
func (s *shop) cancel(order stagetest.Order) bool {
	s.tb.Helper()
	tag, err := s.pool.Exec(s.tb.Context(), `update orders set status = 'cancelled', cancel_reason = 'customer_request'
		where id = $1 and status not in ('shipped', 'cancelled')`, order.ID)
	if err != nil {
		s.tb.Fatal(err)
	}
	return tag.RowsAffected() == 1
}

func (s *shop) status(order stagetest.Order) string {
	s.tb.Helper()
	return s.ask(`select status || coalesce(' ' || cancel_reason, '') from orders where id = $1`, order.ID)
}

// money is how the payment stands, at the provider and by our books.
func (s *shop) money(order stagetest.Order) (theirs payment.State, ours string) {
	s.tb.Helper()
	answer, err := s.provider.Find(s.tb.Context(), order.ID.String())
	if err != nil {
		s.tb.Fatal(err)
	}
	return answer.State, s.ask(`select state from payments where order_id = $1`, order.ID)
}

// wantNothingShipped checks that no unit, no label and no event left the house.
func (s *shop) wantNothingShipped(order stagetest.Order) {
	s.tb.Helper()
	if label := s.s3.label(s.tb, labelKey(order.ID)); label != nil {
		s.tb.Errorf("a label is in S3 for an order that isn't shipped")
	}
	for question, want := range map[string]string{
		`select count(*)::text from shipments where order_id = $1`:                               "0",
		`select count(*)::text from reservations where order_id = $1 and state = 'shipped'`:      "0",
		`select count(*)::text from order_events where order_id = $1 and name = 'order-shipped'`: "0",
	} {
		if got := s.ask(question, order.ID); got != want {
			s.tb.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

// wantShipped checks that the parcel is ready and everything says so.
func (s *shop) wantShipped(order stagetest.Order) {
	s.tb.Helper()
	if s.s3.label(s.tb, labelKey(order.ID)) == nil {
		s.tb.Errorf("no label is in S3 for an order that is shipped")
	}
	if theirs, ours := s.money(order); theirs != payment.StateCaptured || ours != "captured" {
		s.tb.Errorf("payment is %s, and by our books %s, want captured", theirs, ours)
	}
	if got := s.ask(`select string_agg(state, ' ') from reservations where order_id = $1`, order.ID); got != "shipped shipped" {
		s.tb.Errorf("reservations are %q, want both shipped", got)
	}
}

const (
	ok          = http.StatusOK
	unavailable = http.StatusServiceUnavailable
	rejected    = http.StatusUnprocessableEntity
)
