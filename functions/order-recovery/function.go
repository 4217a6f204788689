// Package function is order-recovery: it looks for orders that stand still and
// sends again what they are waiting for.
//
//	dev.knative.sources.ping -> whatever events somebody hasn't got
//
// Kafka is never the only one to know of an event: it is stored with the order
// before it is sent. So whatever went wrong afterwards (a function died between
// its commit and the sink's answer, Kafka lost its log, an event ran out of
// retries), the same event can be sent again, and those who had it after all
// take it for the duplicate it is.
//
// An order is settled when it is final, and every event of it was accepted by
// its sink and handled by every function that the catalogue has read it. A
// sweep looks at all orders that aren't settled: those on their way, and those
// that became final since the last sweep. It settles before it sends, and sends
// to each topic beside the others: one that takes nothing, or is slow, is left
// to the next sweep after a few events, and holds up no other.
//
// Every attempt counts, and after RECOVER_AT_MOST of them, with waits that grow
// to an hour, the event is a dead letter. An attempt that failed because its
// sink took no event at all counts for nothing, so that an outage costs nobody
// anything; but only while the event is younger than six hours. So whatever is
// wrong, people know of it within 25 hours, as 20 attempts take 19 at most.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Config are the function's settings.
type Config struct {
	// Unpublished is how long an event may wait for its sink.
	Unpublished time.Duration `env:"RECOVER_AFTER" envDefault:"30s"`
	// Unhandled is how long an event that its sink has may go unhandled. A
	// KafkaSource tries for 7 minutes by itself: copies would only add to what it
	// has to do.
	Unhandled time.Duration `env:"RECOVER_UNHANDLED_AFTER" envDefault:"10m"`
	// MaxResends is how often to try before it becomes a dead letter. 20 take
	// 13 hours, a night without anybody there.
	MaxResends int `env:"RECOVER_AT_MOST" envDefault:"20"`
}

const (
	// maxBackoff is the longest time between two attempts.
	maxBackoff = time.Hour
	// outage is how old an event must be for an outage of its sink to count.
	outage = 6 * time.Hour
	// maxRetry is the longest time between two attempts in an outage, and so how
	// long after its end the last event is sent.
	maxRetry = 10 * time.Minute
)

// New returns the function.
func New() *stage.Function {
	return stage.New("order-recovery", build)
}

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	if cfg.Unpublished <= 0 || cfg.Unhandled < cfg.Unpublished || cfg.MaxResends < 1 {
		return nil, errors.New("environment: RECOVER_AFTER and RECOVER_AT_MOST must be positive," +
			" and RECOVER_UNHANDLED_AFTER no shorter than RECOVER_AFTER")
	}
	if !env.Sink.Bound() {
		return nil, sink.ErrUnbound // it would look for what is lost and could do nothing about it
	}
	publisher := orderlog.NewPublisher(env.Pool, env.Sink, env.Logger)
	return &handler{
		sweeper: &sweeper{pool: env.Pool, publisher: publisher, policy: cfg.policy()},
		logger:  env.Logger, close: publisher.Close,
	}, nil
}

func (c Config) policy() Policy {
	return Policy{
		Unpublished: c.Unpublished, Unhandled: c.Unhandled, MaxBackoff: maxBackoff, MaxResends: c.MaxResends,
		Outage: outage, MaxRetry: maxRetry,
	}
}

// pingType is the type of what a PingSource sends.
const pingType = "dev.knative.sources.ping"

type handler struct {
	sweeper *sweeper
	logger  *slog.Logger
	close   func()
}

// Close writes what is still to be noted about published events.
func (h *handler) Close() { h.close() }

// ServeHTTP makes one sweep for each ping.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	received, err := stage.Receive(w, r)
	if err == nil && received.Type() != pingType {
		err = stage.Reject(fmt.Errorf("order-recovery does not take events of type %q", received.Type()))
	}
	if err != nil {
		http.Error(w, err.Error(), stage.StatusOf(err))
		return
	}
	done, err := h.sweeper.sweep(r.Context())
	h.log(r.Context(), done, err)
	if err != nil {
		http.Error(w, err.Error(), stage.StatusOf(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(done) //nolint:errcheck,errchkjson,gosec // whoever asked has left
}

func (h *handler) log(ctx context.Context, done Report, err error) {
	level, attributes := slog.LevelInfo, []slog.Attr{
		slog.Int("settled", done.Settled), slog.Int("resent", done.Resent), slog.Int("events", done.Events),
		slog.Int("failed", done.Failed), slog.Int("given_up", done.GivenUp), slog.Int("postponed", done.Postponed),
		slog.Bool("complete", done.Complete),
	}
	if done.Failed > 0 || done.GivenUp > 0 {
		level = slog.LevelWarn
	}
	if err == nil {
		err = done.cause
	}
	if err != nil {
		level, attributes = slog.LevelWarn, append(attributes, slog.String("error", err.Error()))
	}
	h.logger.LogAttrs(ctx, level, "sweep", attributes...)
}
