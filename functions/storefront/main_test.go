package function

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/live"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// shop is the storefront as a process would run it, with a database and a sink
// of its own.
type shop struct {
	t        testing.TB
	function *Storefront
	pool     *pgxpool.Pool
	sink     *stagetest.Sink
	server   *httptest.Server
	client   *http.Client
	stop     context.CancelFunc
}

// open starts a shop; environment adds to what it is told, changes come before
// its start.
func open(t testing.TB, environment map[string]string, changes ...func(*Storefront)) *shop {
	t.Helper()
	pool := postgrestest.New(t)
	if err := demo.Seed(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, pool: pool, sink: stagetest.NewSink(t), function: New()}
	s.function.pace.Heartbeat, s.function.pace.Grace = 50*time.Millisecond, 300*time.Millisecond
	s.function.log = t.Output()
	for _, change := range changes {
		change(s.function)
	}
	settings := map[string]string{
		"DATABASE_URL": pool.Config().ConnString(), "K_SINK": s.sink.URL(), "ORDER_TOKEN_KEY": strings.Repeat("k", 32),
		"DATABASE_MAX_CONNS": "25", "SHOP_URL": "http://localhost:8080",
	}
	maps.Copy(settings, environment)
	s.start(settings)
	return s
}

func (s *shop) start(settings map[string]string) {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	started := make(chan error, 1)
	go func() { started <- s.function.Start(ctx, settings) }()
	await(s.t, "the storefront to be ready", func() bool {
		ready, err := s.function.Ready(s.t.Context())
		return ready && err == nil
	})
	s.server = httptest.NewServer(http.HandlerFunc(s.function.Handle))
	s.client = &http.Client{
		Transport:     &validating{next: s.server.Client().Transport, api: loadAPI(s.t)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.stop = stop
	s.t.Cleanup(func() {
		stop() // as SIGTERM does; the server then waits for open connections
		s.server.Close()
		if err := <-started; err != nil {
			s.t.Errorf("start: %v", err)
		}
		if err := s.function.Stop(context.Background()); err != nil {
			s.t.Errorf("stop: %v", err)
		}
	})
}

// await looks at a condition until it holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !holds() {
		select {
		case <-timeout:
			t.Fatalf("waited %s for %s", patience, what)
		case <-ticker.C:
		}
	}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *shop) do(r *http.Request) answer {
	s.t.Helper()
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %s: read body: %v", r.Method, r.URL.Path, err)
	}
	return answer{response.StatusCode, response.Header, body}
}

func (s *shop) request(method, path string, body io.Reader) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) get(path string) answer {
	s.t.Helper()
	return s.do(s.request(http.MethodGet, path, nil))
}

func (s *shop) post(path, contentType, body string, headers ...string) answer {
	s.t.Helper()
	r := s.request(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(r)
}

func (s *shop) order(body string, headers ...string) answer {
	s.t.Helper()
	return s.post("/api/orders", "application/json", body, headers...)
}

// placed is the answer to a placed order.
type placed struct {
	ID     uuid.UUID    `json:"id"`
	Number string       `json:"number"`
	Status string       `json:"status"`
	Total  events.Money `json:"total"`
	Token  string       `json:"token"`
	Links  struct {
		Self, Events, Cancel, Page string
	} `json:"links"`
}

func (s *shop) mustOrder(body string, headers ...string) placed {
	s.t.Helper()
	got := s.order(body, headers...)
	if got.status != http.StatusAccepted {
		s.t.Fatalf("POST /api/orders = %d %s, want 202", got.status, got.body)
	}
	return decode[placed](s.t, got.body)
}

func decode[T any](t testing.TB, body []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(body, &value); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return value
}

// wanted is an order that nothing is wrong with.
const wanted = `{
	"customer": {"name": "Ada Okafor", "email": "ada@example.com"},
	"shipping_address": {"line1": "Lange Violettestraat 12", "city": "Gent", "postal_code": "9000", "country": "BE"},
	"lines": [{"sku": "COFFEE-FIRSTLIGHT", "quantity": 2}, {"sku": "BREW-KETTLE", "quantity": 1}],
	"payment_method": "pm_card_visa"
}`

// with changes one field of an order that nothing is wrong with, found by a
// path such as "customer.name". A nil value takes the field away.
func with(t testing.TB, path string, value any) string {
	t.Helper()
	order := decode[map[string]any](t, []byte(wanted))
	at, names := order, strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			t.Fatalf("no object at %s of %s", name, path)
		}
		at = next
	}
	at[names[len(names)-1]] = value
	if value == nil {
		delete(at, names[len(names)-1])
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(order); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// count runs a query for one number.
func (s *shop) count(query string, args ...any) int {
	s.t.Helper()
	var count int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&count); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return count
}

// wantNothingStored checks that a refused request has left nothing behind.
func (s *shop) wantNothingStored() {
	s.t.Helper()
	for _, table := range []string{"orders", "order_contacts", "order_lines", "order_events", "idempotency_keys"} {
		if count := s.count("select count(*) from " + table); count != 0 {
			s.t.Errorf("%d rows in %s, want none", count, table)
		}
	}
	if sent := s.sink.Sent(); len(sent) != 0 {
		s.t.Errorf("%d events at the sink, want none", len(sent))
	}
}

// happen lets another function move the order on.
func (s *shop) happen(order placed, name string, announced bool) {
	s.t.Helper()
	ctx := s.t.Context()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		entry, reason := s.entry(order, name)
		kind, _ := events.ByName(name)
		if err := orderlog.Move(ctx, tx, order.ID, kind.Status, reason, entry.OccurredAt); err != nil {
			return err
		}
		if err := orderlog.Append(ctx, tx, entry); err != nil || !announced {
			return err
		}
		_, err := tx.Exec(ctx, "select pg_notify($1, $2)", orderlog.Channel, uuid.Max.String()+","+order.ID.String())
		return err
	})
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
}

func (s *shop) entry(order placed, name string) (orderlog.Entry, events.Reason) {
	s.t.Helper()
	id, lines := order.ID.String(), []events.Line{{SKU: "BREW-KETTLE", Quantity: 1, UnitPrice: order.Total}}
	entry := orderlog.Entry{OrderID: order.ID, Name: name, Source: "test-" + name, Cause: "order-placed", OccurredAt: time.Now()}
	switch name {
	case "payment-verified":
		entry.Data = events.PaymentVerified{OrderID: id, Number: order.Number, PaymentID: "pay_1", Lines: lines, Total: order.Total}
	case "inventory-updated":
		entry.Data = events.InventoryUpdated{OrderID: id, Number: order.Number, Lines: lines, Total: order.Total}
	case "order-shipped":
		entry.Data = events.OrderShipped{
			OrderID: id, Number: order.Number, Lines: lines, Total: order.Total, Carrier: "Parcel", TrackingNumber: "T1",
		}
	case "order-cancelled":
		entry.Data = events.OrderCancelled{
			OrderID: id, Number: order.Number, Reason: events.ReasonOutOfStock, Lines: lines, Total: order.Total,
		}
		return entry, events.ReasonOutOfStock
	}
	return entry, ""
}

// pay notes what became of the order's money.
func (s *shop) pay(order placed, state string, announced bool) {
	s.t.Helper()
	const statement = `
		insert into payments (order_id, provider_id, state, amount, currency) values ($1::uuid, $1::uuid::text, $2, $3, 'EUR')
		on conflict (order_id) do update set state = excluded.state`
	if _, err := s.pool.Exec(s.t.Context(), statement, order.ID, state, order.Total.Amount); err != nil {
		s.t.Fatal(err)
	}
	if announced {
		s.notify(order)
	}
}

func (s *shop) notify(order placed) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), "select pg_notify($1, $2)", orderlog.Channel, order.ID.String()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) hub() *live.Hub { return s.function.running.Load().hub }
