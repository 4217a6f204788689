package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/secrets"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// Env is what a function is built from.
type Env struct {
	// Name is the function's name.
	Name string
	// Environment are the variables of the process, with the secrets they refer to.
	Environment map[string]string
	Pool        postgres.Pool
	Sink        *sink.Client
	// Transport, where there is one, takes the network's place for what the function
	// calls over HTTP beside its sink.
	Transport http.RoundTripper
	Logger    *slog.Logger
	Tracing   *sdktrace.TracerProvider
}

// Build makes a function's http.Handler when the process starts. What it
// returns is closed at the end if it has a Close method.
type Build func(ctx context.Context, env Env) (http.Handler, error)

// Rules makes a Build of a function that is nothing but rules.
func Rules(rules func(ctx context.Context, env Env) ([]Rule, error)) Build {
	return func(ctx context.Context, env Env) (http.Handler, error) {
		made, err := rules(ctx, env)
		if err != nil {
			return nil, err
		}
		return NewHandler(Options{
			Name: env.Name, Rules: made, Pool: env.Pool, Sink: env.Sink,
			Logger: env.Logger, Tracer: env.Tracing.Tracer(env.Name),
		}), nil
	}
}

// settings are the variables that every function has.
type settings struct {
	Postgres  postgres.Config
	Sink      sink.Config
	Telemetry telemetry.Config
}

// Function is a deployed function: its methods are what func's server calls.
type Function struct {
	name  string
	build Build
	state atomic.Pointer[state]
	stop  sync.Once
}

// state is what Start has made: a handler, or the reason why there is none.
type state struct {
	handler http.Handler
	env     Env
	pool    *pgxpool.Pool
	err     error
	// again tells that the reason may go by itself.
	again bool
}

// New names a function and says how it is built. Nothing happens before Start.
func New(name string, build Build) *Function {
	return &Function{name: name, build: build}
}

// ErrStarting is the answer before Start is done.
var ErrStarting = errors.New("function is starting")

// Start builds the function from the variables of its process. What is missing
// doesn't end the process: it is logged, answered to every request and to the
// readiness probe, so that whoever looks there finds it. Secrets that can't be had
// are asked for again until ctx ends: nothing else would start the process anew.
func (f *Function) Start(ctx context.Context, environment map[string]string) error {
	for wait := askAgainAfter; ; wait = min(2*wait, askAgainSlowest) {
		made := f.start(ctx, environment)
		f.state.Store(made)
		if made.err == nil {
			return nil
		}
		made.env.Logger.ErrorContext(ctx, "function can't start", "error", made.err.Error())
		if !made.again {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// Whoever has no secrets asks again after a second, and then ever less often.
const (
	askAgainAfter   = time.Second
	askAgainSlowest = 15 * time.Second
)

func (f *Function) start(ctx context.Context, environment map[string]string) *state {
	environment, unresolved := secrets.Resolve(ctx, environment)
	set, err := config.Parse[settings](environment)
	logger := telemetry.NewLogger(os.Stderr, set.Telemetry, f.name)
	made := &state{env: Env{Name: f.name, Environment: environment, Logger: logger}, err: err}
	if unresolved != nil {
		made.err, made.again = unresolved, true
	}
	if made.err != nil {
		return made
	}
	if made.pool, made.err = postgres.Open(ctx, set.Postgres); made.err != nil {
		return made
	}
	made.env.Pool = made.pool
	if made.env.Sink, made.err = sink.NewClient(set.Sink); made.err != nil {
		return made
	}
	if made.env.Tracing, made.err = telemetry.NewTracerProvider(ctx, set.Telemetry, f.name); made.err != nil {
		return made
	}
	made.handler, made.err = f.build(ctx, made.env)
	return made
}

// Build makes the function's handler of parts that others have made, where Start
// makes its own. Several may stand beside each other in one process.
func (f *Function) Build(ctx context.Context, env Env) (http.Handler, error) {
	env.Name = f.name
	return f.build(ctx, env)
}

// Handle serves one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) {
	handler, err := f.running()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	handler.ServeHTTP(w, r)
}

func (f *Function) running() (http.Handler, error) {
	switch made := f.state.Load(); {
	case made == nil:
		return nil, ErrStarting
	case made.err != nil:
		return nil, fmt.Errorf("%s can't start: %w", f.name, made.err)
	default:
		return made.handler, nil
	}
}

// Ready tells whether the function has all it needs to be called.
func (f *Function) Ready(context.Context) (bool, error) {
	_, err := f.running()
	if errors.Is(err, ErrStarting) {
		return false, nil
	}
	return err == nil, err
}

// Alive tells that the process needn't be replaced.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }

// Stop lets go of everything. The server has answered its last request by then.
func (f *Function) Stop(ctx context.Context) error {
	var err error
	f.stop.Do(func() {
		if made := f.state.Load(); made != nil {
			err = made.close(ctx)
		}
	})
	return err
}

func (s *state) close(ctx context.Context) error {
	if closer, ok := s.handler.(interface{ Close() }); ok {
		closer.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.env.Tracing == nil {
		return nil
	}
	return s.env.Tracing.Shutdown(ctx)
}

// Name is the function's name, as it signs what it writes.
func (f *Function) Name() string { return f.name }
