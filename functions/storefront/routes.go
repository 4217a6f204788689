package function

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/api"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/catalogue"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/guard"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/live"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/page"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
)

// linksPerMinute is how often a client may have the link to an order sent. It is
// no setting: nobody has more orders to find than that.
const linksPerMinute = 6

// routes puts the shop together.
func (s *Storefront) routes(made *running, cfg settings, tokens ordertoken.Key, logger *slog.Logger) (http.Handler, error) {
	shelf := catalogue.New(made.pool)
	desk := NewDesk(made.pool, made.publisher, logger, uuid.NewV7)
	book := order.NewBook(made.pool, tokens)
	limiter := guard.NewLimiter(cfg.RateLimit, cfg.TrustedProxies)
	pages, err := page.New(page.Parts{
		Catalogue: shelf, Desk: desk, Book: book, Tokens: tokens, Limiter: limiter,
		Finders: guard.NewLimiter(linksPerMinute, cfg.TrustedProxies), Logger: logger, Now: s.now, BodyTimeout: s.bodyTimeout,
		Secure: cfg.secure,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", api.New(api.Parts{
		Catalogue: shelf, Desk: desk, Book: book, Streams: live.NewStreams(made.hub, book, s.pace),
		Tokens: tokens, Limiter: limiter, Logger: logger, Now: s.now, BodyTimeout: s.bodyTimeout,
	}))
	begun := traced(mux, made.tracing.Tracer(name))
	return guard.Headers(guard.SameOrigin(begun, func(w http.ResponseWriter, _ *http.Request) {
		problem.Foreign().Write(w)
	})), nil
}

// traced begins the trace that an order's events carry on, or continues its
// client's.
func traced(next http.Handler, tracer trace.Tracer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, kindOf(r.URL.Path), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// kindOf names a span without ids: those would make each order a kind of its own.
func kindOf(path string) string {
	switch {
	case strings.HasSuffix(path, "/cancel"):
		return "cancel order"
	case strings.HasPrefix(path, "/basket"):
		return "change basket"
	case path == "/find-order":
		return "find order"
	case path == "/language":
		return "choose language"
	}
	return "place order"
}

// journal writes one line for every event that a customer has caused.
type journal struct {
	publisher *orderlog.Publisher
	logger    *slog.Logger
}

// Publish sends the event, and says whether that worked. If not, it is sent
// later, so it is no failure of the order.
func (j journal) Publish(ctx context.Context, e orderlog.Entry) error {
	err := j.publisher.Publish(ctx, e)
	attributes := []slog.Attr{
		slog.String("order", e.OrderID.String()), slog.String("outcome", "applied"),
		slog.String("next", orderlog.EventID(e.OrderID.String(), e.Name)), slog.Bool("published", err == nil),
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	j.logger.LogAttrs(ctx, level, "order", attributes...)
	return err
}

// Changed tells those who watch an order to look.
func (j journal) Changed(id uuid.UUID) { j.publisher.Changed(id) }
