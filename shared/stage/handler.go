// Package stage is the frame around every step of an order's life. It
// receives an event, keeps it from being handled twice, runs the function's
// rules in one transaction together with the record of it, hands on the next
// event, and answers so that Knative does the right thing. The rules see none
// of that.
//
// # What a delivery goes through
//
//  1. The CloudEvent is read and checked. What is wrong with it for good is
//     answered by a 4xx that isn't retried, and becomes a dead letter.
//  2. Where this function has handled the event before, what it wrote then is
//     sent again unless the sink is known to have it, and that is all.
//  3. A rule's Ask talks to the outside world, with no transaction open.
//  4. One transaction locks the order, applies the rule, moves the order and
//     stores the next event. If the order moved during Ask, the delivery
//     starts over, so that Ask learns of it.
//  5. The next event goes to the KafkaSink of its name. Only after the sink
//     has accepted it is the delivery answered by 2xx: until then Kafka keeps
//     the event that led to it. Without a sink the next event is the answer.
package stage

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// deadline bounds a delivery. It is below the 30 s after which func's server
// cuts a handler off, so that the answer still says what happened.
const deadline = 20 * time.Second

// maxStarts bounds how often a delivery starts over because its order moved.
// An order has fewer moves in its whole life.
const maxStarts = 5

// Options are what a Handler works with.
type Options struct {
	// Name is the function's name, as in the catalogue of events.
	Name   string
	Rules  []Rule
	Pool   postgres.Pool
	Sink   *sink.Client
	Logger *slog.Logger
	Tracer trace.Tracer
}

// Handler is the frame as an http.Handler.
type Handler struct {
	name      string
	rules     map[string]Rule
	pool      postgres.Pool
	sink      *sink.Client
	publisher *orderlog.Publisher
	logger    *slog.Logger
	tracer    trace.Tracer
}

// NewHandler makes the frame for a function's rules. Close ends it.
func NewHandler(o Options) *Handler {
	h := &Handler{
		name: o.Name, rules: map[string]Rule{}, pool: o.Pool, sink: o.Sink, logger: o.Logger, tracer: o.Tracer,
		publisher: orderlog.NewPublisher(o.Pool, o.Sink, o.Logger),
	}
	for _, rule := range o.Rules {
		h.rules[rule.accepts()] = rule
	}
	return h
}

// Close writes what is still to be noted about published events.
func (h *Handler) Close() { h.publisher.Close() }

// report is what is logged about a delivery.
type report struct {
	event, eventType, order string
	outcome                 Outcome
	next                    string
	err                     error
}

// ServeHTTP handles one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	rep := &report{}
	entry, err := h.handle(ctx, w, r, rep)
	if err != nil {
		rep.outcome, rep.err = outcomeOf(err), err
		http.Error(w, err.Error(), StatusOf(err))
	} else {
		err = h.answer(ctx, w, entry)
		rep.err = err
	}
	h.log(ctx, rep, time.Since(start))
}

func (h *Handler) handle(ctx context.Context, w http.ResponseWriter, r *http.Request, rep *report) (*orderlog.Entry, error) {
	received, err := Receive(w, r)
	if err != nil {
		return nil, err
	}
	rep.event, rep.eventType, rep.order = received.ID(), received.Type(), received.Subject()
	ctx, span := h.tracer.Start(telemetry.Extract(ctx, received), h.name, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("cloudevents.event_id", received.ID()), attribute.String("cloudevents.event_type", received.Type())))
	defer span.End()
	entry, err := h.deliver(ctx, received, rep)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return entry, err
}

// answer says that the delivery is done. Where no sink is bound, the answer is
// the next event itself, which is how func invoke shows it.
func (h *Handler) answer(ctx context.Context, w http.ResponseWriter, entry *orderlog.Entry) error {
	if !h.sink.Replies() || entry == nil || entry.Data == nil {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	next, err := entry.CloudEvent()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return err
	}
	return cehttp.WriteResponseWriter(ctx, binding.ToMessage(&next), http.StatusOK, w)
}

func (h *Handler) log(ctx context.Context, rep *report, took time.Duration) {
	level, attributes := slog.LevelInfo, []slog.Attr{
		slog.String("order", rep.order), slog.String("event", rep.event), slog.String("type", rep.eventType),
		slog.String("outcome", string(rep.outcome)), slog.String("next", rep.next),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
	}
	if rep.err != nil {
		level = slog.LevelWarn
		attributes = append(attributes, slog.String("error", rep.err.Error()))
	}
	h.logger.LogAttrs(ctx, level, "delivery", attributes...)
}

// isDone tells the errors that mean that somebody else has handled the event.
func isDone(err error) bool { return errors.Is(err, orderlog.ErrHandled) }

// inTx runs f in a transaction of this function.
func (h *Handler) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, h.pool, f)
}

// standsAt tells whether the order stands where the event left it.
func (d delivery) standsAt(status events.Status) bool { return status == d.entry.Status }
