package conformance

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// received is a request as it came in.
type received struct {
	method string
	header http.Header
	target string
	body   string
	at     time.Time
}

func (r received) id() string { return r.header.Get("Ce-Id") }

// receiver takes events and answers them.
type receiver struct {
	t        *testing.T
	patience time.Duration
	url      string
	requests chan received
	answer   http.HandlerFunc
}

// receive starts a receiver. Without an answer it says 200.
func receive(t *testing.T, target Target, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{t: t, patience: target.Patience, requests: make(chan received, 1000), answer: answer}
	r.url = target.Serve(t, r)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.requests <- received{method: request.Method, header: request.Header, target: request.URL.RequestURI(), body: string(body), at: time.Now()}
	if r.answer != nil {
		r.answer(w, request)
	}
}

// next is the next request.
func (r *receiver) next() received {
	r.t.Helper()
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case got := <-r.requests:
		return got
	case <-timer.C:
		r.t.Fatalf("no request within %s", r.patience)
		return received{}
	}
}

// nextIDs are the ids of the next n requests with how often each came.
func (r *receiver) nextIDs(n int) map[string]int {
	r.t.Helper()
	ids := map[string]int{}
	for range n {
		ids[r.next().id()]++
	}
	return ids
}

// ids are those of the requests that have come in so far.
func (r *receiver) ids() []string {
	var ids []string
	for range len(r.requests) {
		ids = append(ids, (<-r.requests).id())
	}
	return ids
}

// wantNone fails if a request has come in that nobody took.
func (r *receiver) wantNone() {
	r.t.Helper()
	select {
	case got := <-r.requests:
		r.t.Errorf("request nobody expects: %v %q", got.header, got.body)
	default:
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// source is a source with a group of its own that begins at the earliest event
// and gives up at once.
func source(target Target, sink *receiver, topics ...string) kafkasource.Source {
	return kafkasource.Source{
		Namespace: target.Namespace, Name: "source-" + uuid.NewString()[:8],
		ConsumerGroup: "group-" + uuid.NewString(), Topics: topics, BootstrapServers: target.Brokers,
		InitialOffset: kafkasource.Earliest, Ordering: kafkasource.Unordered, Consumers: 1,
		Sink: sink.url, Delivery: &kafkasource.Delivery{},
	}
}

// retrying is a delivery block with short delays: Knative keeps a tenth of a
// second of them.
func retrying(retries int, dead *receiver) *kafkasource.Delivery {
	delay := 100 * time.Millisecond
	d := &kafkasource.Delivery{Retry: retries, BackoffPolicy: kafkasource.Linear, BackoffDelay: &delay}
	if dead != nil {
		d.DeadLetterSink = dead.url
	}
	return d
}
