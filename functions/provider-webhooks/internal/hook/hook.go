// Package hook is the way in for providers: it bounds what is sent here, in size,
// time and number, and answers so that a provider tries again where that helps.
package hook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// The ways in which a delivery is turned away for good. Every other error is ours,
// and the provider is asked to come again.
var (
	// ErrForged says that a delivery isn't signed by the provider, or not lately.
	ErrForged = errors.New("not signed by the provider, or not lately")
	// ErrUnreadable says that it is signed, and nothing that we understand.
	ErrUnreadable = errors.New("signed, and not readable")
)

// Hook takes the deliveries of one provider.
type Hook interface {
	// Take verifies a delivery and writes down what it tells. Nobody is believed
	// before the signature is checked; an error never repeats what was sent.
	Take(ctx context.Context, header http.Header, body []byte) error
}

const (
	// maxBody is more than any delivery: SendGrid's batches have at most 768 kB, and
	// Stripe's events far less.
	maxBody = 1 << 20
	// timeout bounds a delivery, far below the 30 s of func's server. SendGrid waits
	// 10 s.
	timeout = 9 * time.Second
	// perSecond is far above what the providers send, which gather events. It is for
	// who sends rubbish: each costs a body read and a signature computed.
	perSecond, burst = 100, 200
)

// Options are what the way in works with.
type Options struct {
	// Hooks are by path. A provider that isn't set up has none, and its path isn't there.
	Hooks  map[string]Hook
	Logger *slog.Logger
	Now    func() time.Time
}

type entrance struct {
	Options
	limit *rate.Limiter
}

// New returns the way in.
func New(o Options) http.Handler {
	e := &entrance{Options: o, limit: rate.NewLimiter(perSecond, burst)}
	mux := http.NewServeMux()
	for path, hook := range o.Hooks {
		mux.HandleFunc("POST "+path, e.taking(hook))
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, http.StatusMethodNotAllowed)
		})
	}
	// That somebody is there, as func invoke asks, and no more. A provider that is sent
	// to the wrong place must not take it for its own.
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound) })
	return mux
}

// refuse says no more than the status does: who sends rubbish learns nothing.
func refuse(w http.ResponseWriter, status int) {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(status), status)
}

func (e *entrance) taking(hook Hook) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !e.limit.Allow() {
			refuse(w, http.StatusTooManyRequests)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		body, status := e.read(w, r)
		if status != 0 {
			refuse(w, status)
			return
		}
		if err := hook.Take(ctx, r.Header, body); err != nil {
			e.Logger.WarnContext(ctx, "webhook", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
			refuse(w, statusOf(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrForged):
		return http.StatusForbidden
	case errors.Is(err, ErrUnreadable):
		return http.StatusBadRequest
	default:
		return http.StatusServiceUnavailable
	}
}

// read returns the whole body, or the status to refuse it by.
func (e *entrance) read(w http.ResponseWriter, r *http.Request) (body []byte, refused int) {
	// It is only a courtesy; a server without deadlines has its own bounds.
	_ = http.NewResponseController(w).SetReadDeadline(e.Now().Add(timeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	tooLarge := new(http.MaxBytesError)
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		w.Header().Set("Connection", "close") // the rest may still come
		return nil, http.StatusRequestTimeout
	}
	return body, 0
}
