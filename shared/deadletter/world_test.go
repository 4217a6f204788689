package deadletter_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// world is a desk with a database and a sink of its own.
type world struct {
	t    *testing.T
	pool *pgxpool.Pool
	desk *deadletter.Desk
	sink *stagetest.Sink
	to   *sink.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool, at := postgrestest.New(t), stagetest.NewSink(t)
	desk := deadletter.NewDesk(pool, map[string]string{"inventory-update": "http://127.0.0.1:8103/"})
	return &world{t: t, pool: pool, desk: desk, sink: at, to: client(t, at.URL())}
}

func client(t *testing.T, url string) *sink.Client {
	t.Helper()
	made, err := sink.NewClient(sink.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// meddler is a sink that has something done while an event is on its way to it,
// and accepts it then.
func meddler(t *testing.T, do func()) *sink.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		do()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return client(t, server.URL+"/orderflow/any")
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// told is an order's event as its sender has sent it.
func (w *world) told(order stagetest.Order, eventType string) event.Event {
	w.t.Helper()
	kind, _ := events.ByType(eventType)
	made, err := orderlog.Entry{
		OrderID: order.ID, Name: kind.Name, Source: kind.SentBy[0], Cause: "order-placed", Data: order.Data(eventType),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		OccurredAt:  time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC),
	}.CloudEvent()
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

const refuser = "http://inventory-update.orderflow.svc.cluster.local/"

// letter keeps an event as dead-letter-intake does, and returns its id.
func (w *world) letter(e event.Event, refusedBy, code, answer string) int64 {
	w.t.Helper()
	e = e.Clone()
	e.SetExtension("knativeerrordest", refusedBy)
	e.SetExtension("knativeerrorcode", code)
	e.SetExtension("knativeerrordata", base64.StdEncoding.EncodeToString([]byte(answer)))
	e.SetExtension("knativekafkapartition", "1")
	e.SetExtension("knativekafkaoffset", "42")
	document, err := e.MarshalJSON()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.keep(e, document, refusedBy, code, answer)
}

func (w *world) keep(e event.Event, document []byte, refusedBy, code, answer string) int64 {
	w.t.Helper()
	var id int64
	err := w.pool.QueryRow(w.t.Context(), `insert into dead_letters
		(event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, first_at, last_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, now(), now()) returning id`,
		e.ID(), e.Source(), e.Type(), e.Subject(), refusedBy, code, answer, document).Scan(&id)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// verified makes an order whose payment is verified, and the letter that says so.
func (w *world) verified() (stagetest.Order, int64) {
	w.t.Helper()
	order := stagetest.Place(w.t, w.pool, events.StatusPaymentVerified)
	return order, w.letter(w.told(order, events.TypePaymentVerified), refuser, "503", "no database")
}

func by(reason string) deadletter.Redrive {
	return deadletter.Redrive{Act: deadletter.Act{By: "ada", Reason: reason}}
}

func open(ids ...int64) deadletter.Filter {
	return deadletter.Filter{IDs: ids, State: deadletter.StateOpen}
}

// redrive redrives letters and returns what was told, by the letters' ids.
func (w *world) redrive(ctx context.Context, to deadletter.Sender, filter deadletter.Filter, how deadletter.Redrive) (map[int64]deadletter.Result, error) {
	w.t.Helper()
	results := map[int64]deadletter.Result{}
	err := w.desk.Redrive(ctx, to, filter, how, func(r deadletter.Result) {
		if _, twice := results[r.Letter.ID]; twice {
			w.t.Errorf("letter %d was told of twice", r.Letter.ID)
		}
		results[r.Letter.ID] = r
	})
	return results, err
}

func (w *world) mustRedrive(filter deadletter.Filter, how deadletter.Redrive) map[int64]deadletter.Result {
	w.t.Helper()
	results, err := w.redrive(w.t.Context(), w.to, filter, how)
	if err != nil {
		w.t.Fatalf("redrive: %v", err)
	}
	return results
}

func (w *world) show(id int64) deadletter.Account {
	w.t.Helper()
	account, err := w.desk.Show(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return account
}

func (w *world) wantState(id int64, want deadletter.State) {
	w.t.Helper()
	if got := w.show(id).State; got != want {
		w.t.Errorf("letter %d is %s, want %s", id, got, want)
	}
}

func wantOutcome(t *testing.T, got deadletter.Result, want deadletter.Outcome, why string) {
	t.Helper()
	if got.Outcome != want || got.Why != why {
		t.Errorf("letter %d: %s, %q, want %s, %q", got.Letter.ID, got.Outcome, got.Why, want, why)
	}
}

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, deadletter.ErrInvalid) {
		t.Errorf("error = %v, want ErrInvalid", err)
	}
}
