package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	notification "github.com/orderflow-project/orderflow/functions/customer-notification"
	intake "github.com/orderflow-project/orderflow/functions/dead-letter-intake"
	inventory "github.com/orderflow-project/orderflow/functions/inventory-update"
	analytics "github.com/orderflow-project/orderflow/functions/order-analytics"
	cancellation "github.com/orderflow-project/orderflow/functions/order-cancellation"
	verification "github.com/orderflow-project/orderflow/functions/payment-verification"
	shipment "github.com/orderflow-project/orderflow/functions/shipment-preparation"
	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/broker"
	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/freeport"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// pipeline are all functions that read orders' events, called for them as the
// manifests say, over the Kafka protocol. What is outside of the shop isn't there:
// who does anything anew there fails.
type pipeline struct {
	pool *pgxpool.Pool
	sink *sink.Client
	// taken and refused count the deliveries by how they were answered.
	taken, refused atomic.Int64
}

func startPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{pool: postgrestest.New(t)}
	set, logger := load(t), slog.New(slog.DiscardHandler)
	topics, err := local.Topics(set)
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := broker.Open(t.Context(), broker.Config{DataDir: t.TempDir(), Topics: topics, NoSync: true, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	ingress, err := kafkasink.New(kafkasink.Config{Listen: address, Brokers: []string{kafka.Addr()}, Sinks: local.Sinks(set), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{
		"DATABASE_URL": p.pool.Config().ConnString(), "K_SINK": "http://" + address + "/orderflow/order-placed", "LOG_FORMAT": "json",
		"PAYMENT_PROVIDER_URL": nowhere, "PAYMENT_PROVIDER_KEY": "key", "SENDGRID_HOST": nowhere, "SENDGRID_API_KEY": "key",
		"MAIL_FROM": "orders@shop.example", "SHOP_URL": "http://shop.example", "ORDER_TOKEN_KEY": strings.Repeat("k", 32),
		"AWS_REGION": "eu-central-1", "LABEL_BUCKET": "labels", "AWS_ENDPOINT_URL_S3": nowhere, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
	}
	services := map[string]string{"order-recovery": nowhere, "storefront": nowhere, "backoffice": nowhere}
	for _, function := range []*stage.Function{
		verification.New(), inventory.New(), shipment.New(), cancellation.New(), notification.New(), analytics.New(), intake.New(),
	} {
		services[function.Name()] = p.serve(t, function, environment)
	}
	sources, err := local.Sources(set, local.Network{Brokers: []string{kafka.Addr()}, Ingress: "http://" + address, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	background(t, kafka.Run)
	background(t, ingress.Run)
	background(t, func(ctx context.Context) error {
		return kafkasource.Run(ctx, kafkasource.Config{Sources: sources, Logger: logger})
	})
	localtest.Eventually(t, "the ingress is up", 30*time.Second, func() bool {
		response, err := http.Get("http://" + address + "/")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	if p.sink, err = sink.NewClient(sink.Config{URL: environment["K_SINK"]}); err != nil {
		t.Fatal(err)
	}
	return p
}

// nowhere refuses connections.
const nowhere = "http://127.0.0.1:1"

// background runs a part until the test ends: what was started last ends first.
func background(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// serve runs a function and counts how it answers.
func (p *pipeline) serve(t *testing.T, function *stage.Function, environment map[string]string) string {
	t.Helper()
	if err := function.Start(t.Context(), environment); err != nil {
		t.Fatal(err)
	}
	if ready, err := function.Ready(t.Context()); !ready {
		t.Fatalf("%s is not ready: %v", function.Name(), err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		function.Handle(answer, r)
		if answer.status < http.StatusMultipleChoices {
			p.taken.Add(1)
		} else if p.refused.Add(1) == 1 {
			t.Errorf("%s answers %d to %s", function.Name(), answer.status, r.Header.Get("Ce-Id"))
		}
	}))
	t.Cleanup(func() {
		server.Close()
		if err := function.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return server.URL
}

type answer struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// live writes orders that are done with: shipped ones, and others that their
// customers have cancelled, with all that the functions have written about them.
func (p *pipeline) live(t *testing.T, shipped, cancelled int) {
	t.Helper()
	lines := `jsonb_build_object('order_id', o.id, 'number', o.number, 'total', jsonb_build_object('amount', 500, 'currency', 'EUR'), 'lines',
		jsonb_build_array(jsonb_build_object('sku', 'JAM', 'quantity', 1, 'unit_price', jsonb_build_object('amount', 500, 'currency', 'EUR'))))`
	for _, statement := range []string{
		`insert into products (sku, name, description, category, price_amount, currency) values ('JAM', 'Jam', '', 'food', 500, 'EUR')`,
		fmt.Sprintf(`insert into stock (sku, opening, on_hand, shipped) values ('JAM', %d, 0, %[1]d)`, shipped),
		fmt.Sprintf(`insert into orders (id, number, status, cancel_reason, total_amount, currency, payment_method, placed_at, updated_at, settled_at)
			select gen_random_uuid(), 'OF-' || n, case when n <= %d then 'shipped' else 'cancelled' end, case when n > %[1]d then 'customer_request' end,
			       500, 'EUR', 'pm_card_visa', now(), now(), now() from generate_series(1, %d) n`, shipped, shipped+cancelled),
		`insert into order_lines select id, 1, 'JAM', 'Jam', 1, 500 from orders`,
		`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, captured_at)
			select id, 'pay_' || number, 'captured', 500, 'EUR', now(), now() from orders where status = 'shipped'`,
		`insert into reservations select id, 'JAM', 1, 'shipped' from orders where status = 'shipped'`,
		`insert into shipments select id, 'Post', 'T' || number, 'k' || number, 'h', now() from orders where status = 'shipped'`,
		`insert into notifications (order_id, change, state, claimed_at, message_id, sent_at)
			select id, c, 'sent', now(), 'm', now() from orders, unnest(array['order-placed', 'order-' || status]) c`,
		`insert into order_events (order_id, name, source, cause, type, data, occurred_at, published_at)
			select o.id, e.name, e.source, e.cause, e.type, ` + lines + ` || e.more || case e.name
			       when 'payment-verified' then jsonb_build_object('payment_id', 'pay_' || number)
			       when 'order-shipped' then jsonb_build_object('tracking_number', 'T' || number, 'carrier', 'Post') else '{}' end, now(), now()
			from orders o join (values
				('shipped', 'order-placed', 'storefront', null, 'orderflow.order.placed.v1', '{}'::jsonb),
				('shipped', 'payment-verified', 'payment-verification', 'order-placed', 'orderflow.payment.verified.v1', '{}'),
				('shipped', 'inventory-updated', 'inventory-update', 'payment-verified', 'orderflow.inventory.updated.v1', '{}'),
				('shipped', 'order-shipped', 'shipment-preparation', 'inventory-updated', 'orderflow.order.shipped.v1', '{}'),
				('cancelled', 'order-placed', 'storefront', null, 'orderflow.order.placed.v1', '{}'),
				('cancelled', 'order-cancelled', 'storefront', null, 'orderflow.order.cancelled.v1', '{"reason": "customer_request"}')
			) as e (status, name, source, cause, type, more) using (status)`,
		`insert into order_events (order_id, name, source, cause, occurred_at)
			select e.order_id, e.name || '#' || r, r, e.name, now() from order_events e, unnest(array['customer-notification', 'order-analytics']) r`,
		`insert into order_events (order_id, name, source, cause, occurred_at)
			select id, 'order-placed#payment-verification', 'payment-verification', 'order-placed', now() from orders where status = 'cancelled'
			union all select id, 'order-cancelled#order-cancellation', 'order-cancellation', 'order-cancelled', now() from orders where status = 'cancelled'`,
	} {
		if _, err := p.pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// stored is an event's data as it stands in the history.
type stored struct {
	eventType string
	data      json.RawMessage
}

func (s stored) Type() string                 { return s.eventType }
func (s stored) Order() string                { return "" }
func (s stored) Validate() error              { return nil }
func (s stored) MarshalJSON() ([]byte, error) { return s.data, nil }

// bury makes a dead letter of every event that has happened.
func (p *pipeline) bury(t *testing.T) int {
	t.Helper()
	rows, err := p.pool.Query(t.Context(), `select order_id, name, source, coalesce(cause, ''), type, data, occurred_at from order_events where type is not null`)
	if err != nil {
		t.Fatal(err)
	}
	letters, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) {
		var entry orderlog.Entry
		var data stored
		var id uuid.UUID
		if err := row.Scan(&id, &entry.Name, &entry.Source, &entry.Cause, &data.eventType, &data.data, &entry.OccurredAt); err != nil {
			return nil, err
		}
		entry.OrderID, entry.Data = id, data
		e, err := entry.CloudEvent()
		if err != nil {
			return nil, err
		}
		e.SetExtension("knativeerrordest", "http://order-analytics.orderflow.svc.cluster.local/")
		document, err := e.MarshalJSON()
		return []any{e.ID(), e.Source(), e.Type(), e.Subject(), "order-analytics", document, time.Now(), time.Now()}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := p.pool.CopyFrom(t.Context(), pgx.Identifier{"dead_letters"},
		[]string{"event_id", "event_source", "event_type", "subject", "error_dest", "event", "first_at", "last_at"}, pgx.CopyFromRows(letters))
	if err != nil {
		t.Fatal(err)
	}
	return int(copied)
}

// redrive sends what is open, and waits until every function has answered each
// event that it reads. On a machine that is too busy for a sink's answer in time it
// takes some letters more than once, as it does an operator.
func (p *pipeline) redrive(t *testing.T) (sent int) {
	t.Helper()
	want := p.taken.Load()
	how := deadletter.Redrive{Act: deadletter.Act{By: "ada", Reason: "all of them"}}
	for failed := 1; failed > 0; {
		failed = 0
		err := deadletter.NewDesk(p.pool, nil).Redrive(t.Context(), p.sink, deadletter.Filter{State: deadletter.StateOpen}, how, func(r deadletter.Result) {
			switch r.Outcome {
			case deadletter.OutcomeSent:
				sent++
				kind, _ := events.ByType(r.Letter.Type)
				want += int64(len(kind.ReadBy))
			case deadletter.OutcomeFailed:
				failed++
				t.Logf("letter %d: %s", r.Letter.ID, r.Why)
			default:
				t.Errorf("letter %d: %s, %s", r.Letter.ID, r.Outcome, r.Why)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	localtest.Eventually(t, "every reader has answered", 5*time.Minute, func() bool { return p.taken.Load()+p.refused.Load() >= want })
	return sent
}

// TestRedrivingTenThousandLettersChangesNothing redrives each event of 3,000
// orders, to all functions that read it. Then some have not been handled by one of
// them, and that is all that becomes different.
func TestRedrivingTenThousandLettersChangesNothing(t *testing.T) {
	t.Parallel()
	p := startPipeline(t)
	p.live(t, 2000, 1000)
	if buried := p.bury(t); buried != 10_000 {
		t.Fatalf("%d letters, want 10,000", buried)
	}
	before := p.snapshot(t)
	began := time.Now()
	if sent := p.redrive(t); sent != 10_000 {
		t.Errorf("%d letters sent, want 10,000", sent)
	}
	t.Logf("10,000 letters, %d deliveries in %s", p.taken.Load(), time.Since(began).Round(time.Millisecond))
	if changed := differing(before, p.snapshot(t)); len(changed) > 0 {
		t.Errorf("redriving has changed %v, want nothing", changed)
	}

	if _, err := p.pool.Exec(t.Context(), `delete from order_events where source = 'order-analytics' and cause = 'order-shipped'
		and order_id in (select id from orders where status = 'shipped' order by id limit 100)`); err != nil {
		t.Fatal(err)
	}
	// As when a function has refused them once more.
	if _, err := p.pool.Exec(t.Context(), `update dead_letters set state = 'open' where event_type = $1`, events.TypeOrderShipped); err != nil {
		t.Fatal(err)
	}
	before = p.snapshot(t)
	p.redrive(t)
	after := p.snapshot(t)
	if changed := differing(before, after); !slices.Equal(changed, []string{"analytics_minutes", "order_events"}) {
		t.Errorf("redriving what wasn't handled has changed %v, want analytics_minutes and order_events", changed)
	}
	if rows := strings.Count(after["order_events"], "\n") - strings.Count(before["order_events"], "\n"); rows != 100 {
		t.Errorf("%d events were handled, want the 100 that weren't before", rows)
	}
	var counted int
	if err := p.pool.QueryRow(t.Context(), `select sum(value) from analytics_minutes where metric = 'orders_shipped'`).Scan(&counted); err != nil || counted != 100 {
		t.Errorf("%d shipped orders counted (%v), want 100", counted, err)
	}
}

// snapshot is all that isn't about the letters themselves.
func (p *pipeline) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := stagetest.Snapshot(t, p.pool)
	delete(all, "dead_letters")
	delete(all, "dead_letter_acts")
	return all
}

func differing(before, after map[string]string) []string {
	var tables []string
	for table := range after {
		if before[table] != after[table] {
			tables = append(tables, table)
		}
	}
	slices.Sort(tables)
	return tables
}
