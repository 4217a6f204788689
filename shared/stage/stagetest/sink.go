package stagetest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
)

// Sink is a KafkaSink's ingress as functions see it: it accepts CloudEvents by
// 202 and remembers them, unless it is told to be down.
type Sink struct {
	server *httptest.Server

	mu     sync.Mutex
	down   bool
	events []Sent
}

// Sent is an event and the name of the sink it was sent to.
type Sent struct {
	Sink  string
	Event event.Event
}

// NewSink starts a sink. It ends with the test.
func NewSink(tb testing.TB) *Sink {
	tb.Helper()
	s := &Sink{}
	s.server = httptest.NewServer(http.HandlerFunc(s.accept))
	tb.Cleanup(s.server.Close)
	return s
}

// URL is what a SinkBinding would set as K_SINK.
func (s *Sink) URL() string { return s.server.URL + "/orderflow/order-placed" }

func (s *Sink) accept(w http.ResponseWriter, r *http.Request) {
	received, err := cloudevents.NewEventFromHTTPRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	s.events = append(s.events, Sent{Sink: r.URL.Path[len("/orderflow/"):], Event: *received})
	w.WriteHeader(http.StatusAccepted)
}

// SetDown makes the sink answer 503, or accept again.
func (s *Sink) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Sent lists what the sink has accepted so far.
func (s *Sink) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Sent(nil), s.events...)
}

// IDs lists the ids of the accepted events, each once, in the order they first came.
func (s *Sink) IDs() []string {
	var ids []string
	seen := map[string]bool{}
	for _, sent := range s.Sent() {
		if id := sent.Event.ID(); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}
