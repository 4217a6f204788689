// Package function is backoffice: what operators see of the shop, and do about it.
//
//	an operator's request -> pages, figures | order-cancelled, an event sent again
package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/api"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/desk"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/guard"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/page"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/orderstory"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stockroom"
)

// Config are the function's settings. Where neither a provider nor a password is set,
// nobody signs in; without a token no program gets in.
type Config struct {
	// Token lets in programs that ask for figures.
	Token string `env:"BACKOFFICE_TOKEN"`
	// URL is the back office's address as operators know it.
	URL string `env:"BACKOFFICE_URL"`
	// SessionKey keeps sessions; every replica has the same.
	SessionKey string `env:"BACKOFFICE_SESSION_KEY"`
	// Password lets in operators who know it, as admins: for a laptop.
	Password string `env:"BACKOFFICE_PASSWORD"`
	Provider signin.ProviderConfig
	// LowStock is of how many units there are few left.
	LowStock int64 `env:"LOW_STOCK" envDefault:"10"`
	// TrustedProxies is the number of proxies in front that add to X-Forwarded-For.
	TrustedProxies int `env:"TRUSTED_PROXIES" envDefault:"0"`
	// Functions are the functions' URLs, where those don't say whose they are.
	Functions map[string]string `env:"FUNCTION_URLS" envSeparator:";" envKeyValSeparator:"="`
}

// minToken is the shortest token that can't be found by trying.
const minToken = 16

// New returns the function.
func New() *stage.Function {
	return stage.New("backoffice", build)
}

// clock is for deadlines of sessions and connections; all else goes by Postgres's.
func clock() time.Time { return time.Now() } //nolint:forbidigo // see above

// office is the handler, and what ends with it.
type office struct {
	http.Handler

	publisher *orderlog.Publisher
}

// Close ends what was begun.
func (o *office) Close() { o.publisher.Close() }

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	if cfg.Token != "" && len(cfg.Token) < minToken {
		return nil, errors.New("environment: BACKOFFICE_TOKEN has fewer than 16 characters")
	}
	pool, is := env.Pool.(*pgxpool.Pool)
	if !is {
		return nil, fmt.Errorf("the back office reads snapshots, which a %T doesn't have", env.Pool)
	}
	parts := page.Parts{
		Book: book.New(pool), Trail: trail.New(pool), Room: stockroom.New(pool), Sink: env.Sink, Addresses: cfg.Functions,
		Letters: deadletter.NewDesk(pool, cfg.Functions), Low: cfg.LowStock, Proxies: cfg.TrustedProxies, Logger: env.Logger, Now: clock,
		Story: func(ctx context.Context, order string) (orderstory.Story, error) {
			return orderstory.Tell(ctx, pool, order, time.Time{}, cfg.Functions)
		},
		API: api.New(analytics.NewBook(pool), guard.NewDoor(cfg.Token), env.Logger),
	}
	if err := doors(&parts, cfg, env.Transport); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	publisher := orderlog.NewPublisher(pool, env.Sink, env.Logger)
	parts.Orders = desk.New(orderdesk.New(pool, publisher))
	pages, err := page.New(parts)
	if err != nil {
		publisher.Close()
		return nil, err
	}
	return &office{guard.Headers(traced(pages, env.Tracing.Tracer(env.Name))), publisher}, nil
}

// traced begins a trace with each form that somebody sends: what they do goes on in
// the events that tell of it.
func traced(next http.Handler, tracer trace.Tracer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		ctx, span := tracer.Start(r.Context(), "act", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// doors are the ways in which people sign in.
func doors(parts *page.Parts, cfg Config, transport http.RoundTripper) error {
	if cfg.Password == "" && cfg.Provider.Issuer == "" {
		return nil
	}
	home, err := url.Parse(cfg.URL)
	if err != nil || home.Host == "" || (home.Scheme != "http" && home.Scheme != "https") {
		return errors.New("BACKOFFICE_URL is not an absolute http or https URL")
	}
	var cookies, password, provider error
	parts.Cookies, cookies = signin.NewCookies(cfg.SessionKey, home.Scheme == "https", clock)
	parts.Password, password = signin.NewPassword(cfg.Password, clock)
	parts.Provider, provider = signin.NewProvider(cfg.Provider, cfg.URL, transport, clock)
	return errors.Join(cookies, password, provider)
}
