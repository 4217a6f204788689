package local_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// pipeline is the system without what is outside of the shop: who does anything
// anew there fails.
type pipeline struct {
	*pipelinetest.Pipeline

	// taken and refused count the deliveries by how they were answered.
	taken, refused atomic.Int64
}

func startPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{Pipeline: pipelinetest.Start(t, pipelinetest.Options{Root: root, Without: []string{"order-recovery", "storefront", "backoffice"}})}
	for _, name := range p.Running() {
		p.Gate(name).Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			answer := &answer{ResponseWriter: w}
			next.ServeHTTP(answer, r)
			if answer.status < http.StatusMultipleChoices {
				p.taken.Add(1)
			} else if p.refused.Add(1) == 1 {
				t.Errorf("%s answers %d to %s", name, answer.status, r.Header.Get("Ce-Id"))
			}
		})
	}
	return p
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
		if _, err := p.Pool.Exec(t.Context(), statement); err != nil {
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
	rows, err := p.Pool.Query(t.Context(), `select order_id, name, source, coalesce(cause, ''), type, data, occurred_at from order_events where type is not null`)
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
	copied, err := p.Pool.CopyFrom(t.Context(), pgx.Identifier{"dead_letters"},
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
		err := deadletter.NewDesk(p.Pool, nil).Redrive(t.Context(), p.Sink, deadletter.Filter{State: deadletter.StateOpen}, how, func(r deadletter.Result) {
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

	if _, err := p.Pool.Exec(t.Context(), `delete from order_events where source = 'order-analytics' and cause = 'order-shipped'
		and order_id in (select id from orders where status = 'shipped' order by id limit 100)`); err != nil {
		t.Fatal(err)
	}
	// As when a function has refused them once more.
	if _, err := p.Pool.Exec(t.Context(), `update dead_letters set state = 'open' where event_type = $1`, events.TypeOrderShipped); err != nil {
		t.Fatal(err)
	}
	before = p.snapshot(t)
	p.redrive(t)
	after := p.snapshot(t)
	if changed := differing(before, after); !slices.Equal(changed, []string{"analytics_minutes", "analytics_rollups", "order_events"}) {
		t.Errorf("redriving what wasn't handled has changed %v, want analytics_minutes, analytics_rollups and order_events", changed)
	}
	if rows := strings.Count(after["order_events"], "\n") - strings.Count(before["order_events"], "\n"); rows != 100 {
		t.Errorf("%d events were handled, want the 100 that weren't before", rows)
	}
	var counted int
	if err := p.Pool.QueryRow(t.Context(), `select sum(value) from analytics_minutes where metric = 'orders_shipped'`).Scan(&counted); err != nil || counted != 100 {
		t.Errorf("%d shipped orders counted (%v), want 100", counted, err)
	}
}

// snapshot is all that isn't about the letters themselves.
func (p *pipeline) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := stagetest.Snapshot(t, p.Pool)
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
