// Package stagetest is the suite that every stage passes, whatever it does:
// what the frame promises, tried on the stage's own rules against a real
// Postgres and over real HTTP. It is for tests only.
package stagetest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Stage is what the suite needs to know about a stage.
type Stage struct {
	// New makes the function, as func does.
	New func() *stage.Function
	// Environment adds to the variables that every function has. It may start
	// servers that end with the test.
	Environment func(tb testing.TB) map[string]string
	// Accepts is the type of the event to deliver.
	Accepts string
	// Next is the name of the event that follows; empty for none.
	Next string
	// Observes says that the stage watches and doesn't mind where the order is.
	Observes bool
	// Prepare adds what earlier functions would have written about an order
	// beside its history: a payment, reservations. It may be nil.
	Prepare func(tb testing.TB, pool *pgxpool.Pool, environment map[string]string, order Order)
}

// world is one stage, running, with a database and a sink of its own.
type world struct {
	Stage
	tb          testing.TB
	pool        *pgxpool.Pool
	sink        *Sink
	environment map[string]string
}

func (s Stage) start(tb testing.TB) *world {
	tb.Helper()
	w := &world{Stage: s, tb: tb, pool: postgrestest.New(tb), sink: NewSink(tb), environment: map[string]string{}}
	if s.Environment != nil {
		w.environment = s.Environment(tb)
	}
	w.environment["DATABASE_URL"], w.environment["K_SINK"], w.environment["DATABASE_MAX_CONNS"] = w.pool.Config().ConnString(), w.sink.URL(), "25"
	return w
}

// run starts one process's worth of the function, and returns its address.
func (w *world) run() string {
	w.tb.Helper()
	return Run(w.tb, w.New(), w.environment)
}

// Run starts a function the way func's server does, without the process, and
// returns its address. It ends with the test.
func Run(tb testing.TB, function *stage.Function, environment map[string]string) string {
	tb.Helper()
	if err := function.Start(tb.Context(), environment); err != nil {
		tb.Fatalf("start: %v", err)
	}
	if ready, err := function.Ready(tb.Context()); !ready {
		tb.Fatalf("function is not ready: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(function.Handle))
	tb.Cleanup(func() {
		server.Close()
		if err := function.Stop(context.Background()); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	return server.URL
}

// order places an order that stands where the stage's event left it.
func (w *world) order() Order {
	w.tb.Helper()
	kind, known := events.ByType(w.Accepts)
	if !known {
		w.tb.Fatalf("no event of type %q", w.Accepts)
	}
	order := w.orderAt(kind.Status)
	if kind.Repeats {
		order.Happen(w.tb, w.pool, order.Data(kind.Type))
	}
	return order
}

func (w *world) orderAt(status events.Status) Order {
	w.tb.Helper()
	order := Place(w.tb, w.pool, status)
	if w.Prepare != nil {
		w.Prepare(w.tb, w.pool, w.environment, order)
	}
	return order
}

func (w *world) mustDeliver(url string, order Order) {
	w.tb.Helper()
	if status, body := order.Deliver(w.tb, url, w.Accepts); status != http.StatusOK {
		w.tb.Fatalf("delivery answered %d %s, want 200", status, body)
	}
}

// wantNext checks that exactly the stage's next event was sent, however often.
func (w *world) wantNext(order Order) {
	w.tb.Helper()
	var want []string
	if w.Next != "" {
		want = []string{order.ID.String() + "/" + w.Next}
	}
	if diff := cmp.Diff(want, w.sink.IDs()); diff != "" {
		w.tb.Errorf("ids of the events sent (-want +got):\n%s", diff)
	}
	for _, sent := range w.sink.Sent() {
		if sent.Sink != w.Next {
			w.tb.Errorf("%s went to the sink %q", sent.Event.ID(), sent.Sink)
		}
	}
}

func (w *world) wantUnchanged(before map[string]string) {
	w.tb.Helper()
	if diff := cmp.Diff(before, Snapshot(w.tb, w.pool)); diff != "" {
		w.tb.Errorf("the database has changed (-before +after):\n%s", diff)
	}
}

// Conform runs the whole suite.
func Conform(t *testing.T, s Stage) {
	t.Helper()
	tests := map[string]func(*testing.T, *world){
		"HandlesOnce":                 handlesOnce,
		"Duplicate":                   duplicate,
		"ConcurrentDuplicates":        concurrentDuplicates,
		"CrashBetweenCommitAndSend":   crash,
		"CancelledLeavesNoRow":        cancelled,
		"UnknownFieldsAreAccepted":    unknownFields,
		"ForgedBodyIs422":             forged,
		"MalformedIs400":              malformed,
		"NotACloudEventIs415":         notACloudEvent,
		"UnknownVersionIs422":         unknownVersion,
		"UnknownOrderIs422":           unknownOrder,
		"EventThatNeverHappenedIs422": neverHappened,
		"OrderHasMovedOn":             movedOn,
		"ReplayOfEverything":          replay,
		"WithoutASinkTheNextIsShown":  withoutSink,
		"DatabaseDownIs503":           databaseDown,
	}
	if s.Next != "" { // else there is nothing to send, and nothing that could fail
		tests["SinkDownThenRedelivered"] = sinkDown
		tests["ServiceWithoutASinkIs503"] = serviceWithoutSink
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.start(t))
		})
	}
}

func handlesOnce(_ *testing.T, w *world) {
	order := w.order()
	w.mustDeliver(w.run(), order)
	w.wantNext(order)
}

func duplicate(t *testing.T, w *world) {
	url, order := w.run(), w.order()
	w.mustDeliver(url, order)
	before := Snapshot(t, w.pool)
	for range 3 {
		w.mustDeliver(url, order)
	}
	w.wantUnchanged(before)
	w.wantNext(order)
}

func concurrentDuplicates(_ *testing.T, w *world) {
	const copies = 20
	url, order := w.run(), w.order()
	var group sync.WaitGroup
	answers := make(chan int, copies)
	for range copies {
		group.Go(func() {
			status, _ := order.Deliver(w.tb, url, w.Accepts)
			answers <- status
		})
	}
	group.Wait()
	close(answers)
	for status := range answers {
		// One that finds another at work may ask to come again; none is final.
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			w.tb.Errorf("a concurrent duplicate was answered %d", status)
		}
	}
	w.mustDeliver(url, order)
	w.wantNext(order)
	var rows int
	if err := w.pool.QueryRow(w.tb.Context(), `select count(*) from order_events where order_id = $1 and cause = $2 and source = $3`,
		order.ID, w.cause(), w.name()).Scan(&rows); err != nil || rows != 1 {
		w.tb.Errorf("rows that say that the event was handled: %d (%v), want 1", rows, err)
	}
}

func (w *world) cause() string {
	return events.NameOf(Order{}.Data(w.Accepts))
}

// name is the function's, as it writes it into the history.
func (w *world) name() string { return w.New().Name() }

func sinkDown(t *testing.T, w *world) {
	url, order := w.run(), w.order()
	w.sink.SetDown(true)
	if status, body := order.Deliver(t, url, w.Accepts); status != http.StatusServiceUnavailable {
		t.Fatalf("delivery with the sink down answered %d %s, want 503", status, body)
	}
	before := Snapshot(t, w.pool)
	w.sink.SetDown(false)
	w.mustDeliver(url, order)
	w.wantUnchanged(before)
	w.wantNext(order)
}

// crash is sinkDown with another process for the redelivery: nothing that
// matters may be in memory.
func crash(t *testing.T, w *world) {
	order := w.order()
	w.sink.SetDown(w.Next != "")
	order.Deliver(t, w.run(), w.Accepts)
	before := Snapshot(t, w.pool)
	w.sink.SetDown(false)
	w.mustDeliver(w.run(), order)
	w.wantUnchanged(before)
	w.wantNext(order)
}

func cancelled(t *testing.T, w *world) {
	url, order := w.run(), w.order()
	before := Snapshot(t, w.pool)["order_events"]
	blocker, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.Exec(t.Context(), `select from orders where id = $1 for update`, order.ID); err != nil {
		t.Fatal(err)
	}
	// The pool would wait for it, whatever else goes wrong here.
	defer blocker.Rollback(context.Background()) //nolint:errcheck // it was rolled back already, if all went well
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() {
		if response, err := http.DefaultClient.Do(order.Request(t, ctx, url, w.Accepts)); err == nil {
			response.Body.Close() //nolint:errcheck,gosec // it was meant to fail
			t.Errorf("a cancelled delivery was answered %d", response.StatusCode)
		}
	})
	AwaitBlocked(t, w.pool)
	cancel()
	group.Wait()
	// Not before the statement is given up, or the order would be free first
	// and the delivery go on.
	AwaitUnblocked(t, w.pool)
	if err := blocker.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	AwaitIdle(t, w.pool)
	if after := Snapshot(t, w.pool)["order_events"]; after != before {
		t.Errorf("a cancelled delivery left rows:\n%s", cmp.Diff(before, after))
	}
	w.mustDeliver(url, order)
	w.wantNext(order)
}

// send delivers a request that is not quite what KafkaSource would send.
func (w *world) send(url string, order Order, change func(*http.Request)) (int, string) {
	w.tb.Helper()
	request := order.Request(w.tb, w.tb.Context(), url, w.Accepts)
	change(request)
	return do(w.tb, request)
}

func setBody(r *http.Request, body string) {
	r.Body = http.NoBody
	replacement, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.URL.String(), strings.NewReader(body))
	if err == nil {
		r.Body, r.ContentLength, r.GetBody = replacement.Body, replacement.ContentLength, replacement.GetBody
	}
}

// wantRefused checks the answer, and that nothing was stored or sent.
func (w *world) wantRefused(want int, change func(*http.Request)) {
	w.tb.Helper()
	url, order := w.run(), w.order()
	before := Snapshot(w.tb, w.pool)
	if status, body := w.send(url, order, change); status != want {
		w.tb.Errorf("answered %d %q, want %d", status, body, want)
	}
	w.wantUnchanged(before)
	if ids := w.sink.IDs(); len(ids) > 0 {
		w.tb.Errorf("sent %v for an event it refused", ids)
	}
}

func malformed(_ *testing.T, w *world) {
	for _, body := range []string{``, `{`, `[]`, `"x"`, `{"order_id":7}`, `{}`, "\xff\xfe", strings.Repeat("[", 10000)} {
		w.wantRefused(http.StatusBadRequest, func(r *http.Request) { setBody(r, body) })
	}
	// The same order, not written as everywhere else.
	w.wantRefused(http.StatusBadRequest, func(r *http.Request) {
		id := r.Header.Get("Ce-Subject")
		r.Header.Del("Ce-Subject")
		body, err := r.GetBody()
		if err != nil {
			w.tb.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			w.tb.Fatal(err)
		}
		setBody(r, strings.ReplaceAll(string(text), id, strings.ToUpper(id)))
	})
}

func notACloudEvent(_ *testing.T, w *world) {
	w.wantRefused(http.StatusUnsupportedMediaType, func(r *http.Request) {
		for header := range r.Header {
			if strings.HasPrefix(header, "Ce-") {
				r.Header.Del(header)
			}
		}
	})
}

func unknownVersion(_ *testing.T, w *world) {
	w.wantRefused(http.StatusUnprocessableEntity, func(r *http.Request) {
		r.Header.Set("Ce-Type", strings.TrimSuffix(w.Accepts, "v1")+"v99")
	})
}

func unknownFields(t *testing.T, w *world) {
	url, order := w.run(), w.order()
	status, body := w.send(url, order, func(r *http.Request) {
		var text strings.Builder
		original, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 64<<10)
		n, _ := original.Read(buffer)
		text.WriteString(`{"a_field_of_the_future":{"x":[1,2,3]},`)
		text.Write(buffer[1:n])
		setBody(r, text.String())
		r.Header.Set("Ce-Afutureextension", "x")
	})
	if status != http.StatusOK {
		t.Errorf("an event with unknown fields was answered %d %s, want 200", status, body)
	}
	w.wantNext(order)
}

// forged delivers an event that did happen, with another body.
func forged(t *testing.T, w *world) {
	url, order := w.run(), w.order()
	before := Snapshot(t, w.pool)
	status, body := w.send(url, order, func(r *http.Request) {
		original, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(original), order.Number, "OF-00000-00000", 1)
		if text == string(original) {
			t.Fatal("the event has no number to forge")
		}
		setBody(r, text)
	})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a forged event was answered %d %s, want 422", status, body)
	}
	w.wantUnchanged(before)
}

func unknownOrder(t *testing.T, w *world) {
	url, known := w.run(), w.order()
	before := Snapshot(t, w.pool)
	stranger := known
	stranger.ID[15] ^= 0xff
	if status, body := stranger.Deliver(t, url, w.Accepts); status != http.StatusUnprocessableEntity {
		t.Errorf("an event of an unknown order was answered %d %s, want 422", status, body)
	}
	w.wantUnchanged(before)
}

// neverHappened delivers an event to an order to which it hasn't happened.
func neverHappened(t *testing.T, w *world) {
	status := events.StatusPlaced
	if w.Accepts == events.TypeOrderPlaced {
		return // every order was placed
	}
	url, order := w.run(), w.orderAt(status)
	before := Snapshot(t, w.pool)
	if status, body := order.Deliver(t, url, w.Accepts); status != http.StatusUnprocessableEntity {
		t.Errorf("an event that never happened was answered %d %s, want 422", status, body)
	}
	w.wantUnchanged(before)
}

// movedOn delivers the event of an order that was cancelled meanwhile: a stage
// that moves orders takes note and does nothing more.
func movedOn(t *testing.T, w *world) {
	kind, _ := events.ByType(w.Accepts)
	if w.Observes || kind.Status.Final() {
		return // the order can't be further on, or it doesn't matter
	}
	url, order := w.run(), w.order()
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`, order.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mustDeliver(url, order)
	if ids := w.sink.IDs(); len(ids) > 0 {
		t.Errorf("sent %v for a cancelled order", ids)
	}
	before := Snapshot(t, w.pool)
	w.mustDeliver(url, order)
	w.wantUnchanged(before)
	var status events.Status
	if err := w.pool.QueryRow(t.Context(), `select status from orders where id = $1`, order.ID).Scan(&status); err != nil || status != events.StatusCancelled {
		t.Errorf("status = %q (%v), want cancelled", status, err)
	}
}

// replay delivers many orders' events, then all of them again in reverse, to a
// process that knows nothing of the first time.
func replay(t *testing.T, w *world) {
	url := w.run()
	var orders []Order
	for range 10 {
		orders = append(orders, w.order())
	}
	for _, order := range orders {
		w.mustDeliver(url, order)
	}
	before := Snapshot(t, w.pool)
	again := w.run()
	for i := range orders {
		w.mustDeliver(again, orders[len(orders)-1-i])
	}
	w.wantUnchanged(before)
}

func withoutSink(t *testing.T, w *world) {
	delete(w.environment, "K_SINK")
	url, order := w.run(), w.order()
	for range 2 {
		response, err := http.DefaultClient.Do(order.Request(t, t.Context(), url, w.Accepts))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close() //nolint:errcheck,gosec // only the headers matter
		want := ""
		if w.Next != "" {
			want = order.ID.String() + "/" + w.Next
		}
		if got := response.Header.Get("Ce-Id"); response.StatusCode != http.StatusOK || got != want {
			t.Errorf("answered %d with event %q, want 200 with %q", response.StatusCode, got, want)
		}
	}
}

// serviceWithoutSink is a pod that came before its SinkBinding: Knative throws
// answers away, so a 200 would lose the event.
func serviceWithoutSink(t *testing.T, w *world) {
	sink := w.environment["K_SINK"]
	delete(w.environment, "K_SINK")
	w.environment["K_SERVICE"] = w.name()
	order := w.order()
	if status, body := order.Deliver(t, w.run(), w.Accepts); status != http.StatusServiceUnavailable || !strings.Contains(body, "K_SINK") {
		t.Fatalf("delivery to a service without a sink answered %d %s, want 503 that names K_SINK", status, body)
	}
	w.environment["K_SINK"] = sink
	w.mustDeliver(w.run(), order)
	w.wantNext(order)
}

func databaseDown(t *testing.T, w *world) {
	w.environment["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"
	url, order := w.run(), w.order()
	if status, body := order.Deliver(t, url, w.Accepts); status != http.StatusServiceUnavailable {
		t.Errorf("delivery without a database answered %d %s, want 503", status, body)
	}
}
