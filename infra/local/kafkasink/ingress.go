package kafkasink

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

// The probe of Knative's control plane.
const (
	probeHeader = "K-Network-Probe"
	probeHash   = "K-Network-Hash"
)

// maxBody is far more than a record may have, yet leaves room for a structured
// event that shrinks when it is written as a binary one.
const maxBody = 8 << 20

// ingress answers the requests. The order of its checks is that of Knative's
// receiver: health, method, path, event, Kafka.
type ingress struct {
	sinks    map[string]Sink
	producer *producer
}

func newIngress(config Config) (*ingress, error) {
	sinks, err := routes(config.Sinks)
	if err != nil {
		return nil, err
	}
	producer, err := newProducer(config)
	if err != nil {
		return nil, err
	}
	return &ingress{sinks: sinks, producer: producer}, nil
}

// ServeHTTP implements http.Handler.
func (i *ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz") {
		return
	}
	probe := r.Method == http.MethodGet && r.Header.Get(probeHeader) == "probe"
	if r.Method != http.MethodPost && !probe {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	sink, found := i.sinks[strings.TrimSuffix(r.URL.Path, "/")]
	switch {
	case !found:
		w.WriteHeader(http.StatusNotFound)
	case probe:
		w.Header().Set(probeHash, r.Header.Get(probeHash))
	default:
		w.WriteHeader(i.accept(w, r, sink)) //nolint:contextcheck // an event outlives its request: see producer.store
	}
}

// accept stores the event of a request and returns the status to answer with.
func (i *ingress) accept(w http.ResponseWriter, r *http.Request, sink Sink) int {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	e, err := readEvent(r)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return http.StatusServiceUnavailable
	}
	if err != nil {
		return http.StatusBadRequest
	}
	record, err := kafkabinding.Record(e, sink.ContentMode)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	record.Topic = sink.Topic
	if err := i.producer.store(record); err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}

func readEvent(r *http.Request) (*event.Event, error) {
	if kafkabinding.UnknownFormat(r.Header.Get(cehttp.ContentType)) {
		return nil, kafkabinding.ErrNotCloudEvent
	}
	if _, nameless := r.Header["Ce-"]; nameless { // at which the SDK panics
		return nil, kafkabinding.ErrNotCloudEvent
	}
	e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("validate event: %w", err)
	}
	return e, nil
}
