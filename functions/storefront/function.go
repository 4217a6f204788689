// Package function is the storefront: the shop's pages and its API.
//
//	a customer -> order-placed | order-cancelled
//
// It is a func function for HTTP: it takes requests from people and programs,
// not events. An order is accepted once it is committed in Postgres, whether or
// not Kafka is up.
package function

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/live"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/secrets"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/telemetry"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const name = "storefront"

// Storefront is the function. Between New and Start it answers that it isn't
// ready yet.
type Storefront struct {
	now func() time.Time
	// pace is how the streams of orders behave in time.
	pace live.Pace
	// bodyTimeout bounds how long a request may take to arrive.
	bodyTimeout time.Duration
	// log is where log lines go.
	log io.Writer
	// running is nil until Start has made it.
	running atomic.Pointer[running]
}

// running is what Start makes and Stop ends.
type running struct {
	pool      *pgxpool.Pool
	publisher *orderlog.Publisher
	tracing   *sdktrace.TracerProvider
	hub       *live.Hub
	handler   http.Handler
}

// New makes the function.
func New() *Storefront {
	clock := time.Now //nolint:forbidigo // the one clock, for deadlines of connections; orders take Postgres's
	return &Storefront{now: clock, log: os.Stderr, bodyTimeout: 10 * time.Second, pace: live.Pace{
		Heartbeat: 15 * time.Second, WriteTimeout: 10 * time.Second, Grace: 5 * time.Second, Now: clock,
	}}
}

// Handle answers a request.
func (s *Storefront) Handle(w http.ResponseWriter, r *http.Request) {
	if now := s.running.Load(); now != nil {
		now.handler.ServeHTTP(w, r)
		return
	}
	problem.Unavailable().Write(w)
}

// Start opens what the function needs and spreads the news of orders until the
// process is told to stop. Func's server then waits for open connections before
// it calls Stop; streams would keep it waiting, so they end with ctx.
func (s *Storefront) Start(ctx context.Context, environment map[string]string) error {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer cancel()
	started, err := s.start(ctx, environment)
	if err != nil {
		return fmt.Errorf("start storefront: %w", err)
	}
	s.running.Store(started)
	started.hub.Run(ctx)
	return nil
}

func (s *Storefront) start(ctx context.Context, environment map[string]string) (*running, error) {
	environment, err := secrets.Resolve(ctx, environment)
	if err != nil {
		return nil, err // the process ends and is started again, until they can be had
	}
	settings, tokens, err := parse(environment)
	if err != nil {
		return nil, err
	}
	logger := telemetry.NewLogger(s.log, settings.Telemetry, name)
	client, err := sink.NewClient(settings.Sink)
	if err != nil {
		return nil, err
	}
	tracing, err := telemetry.NewTracerProvider(ctx, settings.Telemetry, name)
	if err != nil {
		return nil, err
	}
	// The pool outlives ctx: requests that are being answered are answered.
	pool, err := postgres.Open(context.WithoutCancel(ctx), settings.Postgres)
	if err != nil {
		return nil, err
	}
	made := &running{
		pool: pool, tracing: tracing,
		publisher: orderlog.NewPublisher(pool, client, logger),
		hub:       live.NewHub(pool, connector(pool), logger),
	}
	made.handler, err = s.routes(made, settings, tokens, logger)
	return made, err
}

// connector makes connections beside the pool: one that listens never comes back.
func connector(pool *pgxpool.Pool) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		return postgres.Connect(ctx, pool)
	}
}

// Ready tells whether the function can take orders.
func (s *Storefront) Ready(ctx context.Context) (bool, error) {
	now := s.running.Load()
	if now == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return now.pool.Ping(ctx) == nil, nil
}

// Alive tells whether the process is of any use.
func (s *Storefront) Alive(context.Context) (bool, error) {
	return true, nil
}

// Stop ends what Start has made, once the last request is answered.
func (s *Storefront) Stop(ctx context.Context) error {
	now := s.running.Swap(nil)
	if now == nil {
		return nil
	}
	now.publisher.Close()
	now.pool.Close()
	if err := now.tracing.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}
