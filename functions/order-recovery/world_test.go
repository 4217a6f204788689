package function_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-recovery"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// world is the function, running, with a database and a sink of its own.
type world struct {
	t    *testing.T
	pool *pgxpool.Pool
	sink *stagetest.Sink
	url  string
	made int // how many times unsent made orders
}

// start runs the function with settings beside the usual ones.
func start(t *testing.T, settings map[string]string) *world {
	t.Helper()
	pool := postgrestest.New(t)
	sink := stagetest.NewSink(t)
	environment := map[string]string{"DATABASE_URL": pool.Config().ConnString(), "K_SINK": sink.URL()}
	maps.Copy(environment, settings)
	return &world{t: t, pool: pool, sink: sink, url: stagetest.Run(t, function.New(), environment)}
}

// ping is what a PingSource sends.
func (w *world) ping(eventType string) (int, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url, strings.NewReader("{}"))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Type": eventType,
		"Ce-Source": "/apis/v1/namespaces/orderflow/pingsources/order-recovery",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end below
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (w *world) sweep() function.Report {
	w.t.Helper()
	var done function.Report
	status, body := w.ping("dev.knative.sources.ping")
	if status != http.StatusOK {
		w.t.Errorf("sweep answered %d %s, want 200", status, body)
		return done
	}
	if err := json.Unmarshal([]byte(body), &done); err != nil {
		w.t.Errorf("read report %q: %v", body, err)
	}
	return done
}

// exec changes the database as time or misfortune would.
func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), statement, args...); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// value reads one value as text.
func (w *world) value(query string, args ...any) string {
	w.t.Helper()
	var value any
	if err := w.pool.QueryRow(w.t.Context(), query, args...).Scan(&value); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(value)
}

// pass lets time go by for everything in the database.
func (w *world) pass(interval string) {
	w.t.Helper()
	w.exec(`update orders set updated_at = updated_at - $1::interval, resend_after = resend_after - $1::interval`, interval)
	w.exec(`update order_events set occurred_at = occurred_at - $1::interval`, interval)
}

// handle writes what a function writes that has nothing to tell about an event.
func (w *world) handle(order stagetest.Order, event string, readers ...string) {
	w.t.Helper()
	for _, reader := range readers {
		w.exec(`insert into order_events (order_id, name, source, cause, occurred_at)
			values ($1, $2 || '#' || $3, $3, $2, now()) on conflict do nothing`, order.ID, event, reader)
	}
}

func (w *world) publish(order stagetest.Order) {
	w.t.Helper()
	w.exec(`update order_events set published_at = now() where order_id = $1 and type is not null`, order.ID)
}

// healthy places an order that has come to a status, with everybody having done
// their part.
func (w *world) healthy(status events.Status) stagetest.Order {
	w.t.Helper()
	order := stagetest.Place(w.t, w.pool, status)
	w.publish(order)
	for _, kind := range events.Catalog() {
		if w.value(`select count(*) from order_events where order_id = $1 and name = $2`, order.ID, kind.Name) == "0" {
			continue
		}
		for _, reader := range kind.ReadBy {
			if !status.Final() && kind.Status == status && reader == kind.ReadBy[0] {
				continue // that is where the order stands
			}
			w.handle(order, kind.Name, reader)
		}
	}
	return order
}

func (w *world) wantSent(want ...string) {
	w.t.Helper()
	var got []string
	for _, sent := range w.sink.Sent() {
		got = append(got, sent.Event.ID())
		if !strings.HasSuffix(sent.Event.ID(), "/"+sent.Sink) {
			w.t.Errorf("%s went to the sink %q", sent.Event.ID(), sent.Sink)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("events sent (-want +got):\n%s", diff)
	}
}

func id(order stagetest.Order, event string) string { return order.ID.String() + "/" + event }

// ignoreCause leaves out what a report only keeps for the log.
func ignoreCause() cmp.Option { return cmpopts.IgnoreUnexported(function.Report{}) }
