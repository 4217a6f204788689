// Package api is the shop for programs: JSON in and out, as the OpenAPI
// document beside this file says.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/catalogue"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/guard"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/live"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/locale"
)

//go:embed openapi.json
var document []byte

// tokens makes the token of an order.
type tokens interface {
	Derive(orderID uuid.UUID) string
}

// Parts are what the API is put together from.
type Parts struct {
	Catalogue *catalogue.Catalogue
	Desk      *checkout.Desk
	Book      *order.Book
	Streams   *live.Streams
	Tokens    tokens
	Limiter   *guard.Limiter
	Logger    *slog.Logger
	Now       func() time.Time
	// BodyTimeout bounds how long the body of a request may take to arrive. It is
	// below the server's own, after which no answer gets out.
	BodyTimeout time.Duration
}

// API answers the calls under /api/.
type API struct {
	Parts
}

// timeout bounds every call but the streams: far below the 30 s at which the
// server cuts the connection without a word.
const timeout = 10 * time.Second

// New returns the API.
func New(parts Parts) http.Handler {
	a := &API{Parts: parts}
	mux := http.NewServeMux()
	a.route(mux, http.MethodGet, "/api/openapi.json", a.openAPI)
	a.route(mux, http.MethodGet, "/api/products", a.products)
	a.route(mux, http.MethodPost, "/api/orders", a.place)
	a.route(mux, http.MethodGet, "/api/orders/{id}", a.show)
	a.route(mux, http.MethodPost, "/api/orders/{id}/cancel", a.cancel)
	mux.Handle("GET /api/orders/{id}/events", a.answer(a.stream))
	mux.Handle("/api/orders/{id}/events", notAllowed(http.MethodGet))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { problem.NotFound().Write(w) })
	return mux
}

// handler returns an error for what it hasn't answered.
type handler func(w http.ResponseWriter, r *http.Request) error

func (a *API) route(mux *http.ServeMux, method, path string, handle handler) {
	mux.Handle(method+" "+path, a.answer(func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		return handle(w, r.WithContext(ctx))
	}))
	mux.Handle(path, notAllowed(method))
}

func notAllowed(method string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", method)
		problem.NotAllowed().Write(w)
	})
}

func (a *API) answer(handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		if err == nil {
			return
		}
		answer := problem.Of(err)
		if answer.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
			a.Logger.ErrorContext(r.Context(), "api call", "route", r.Pattern, "status", answer.Status, "error", err.Error())
		}
		answer.Write(w)
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value) //nolint:errcheck,errchkjson,gosec // the client has left
}

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, err := w.Write(document)
	return err
}

func (a *API) products(w http.ResponseWriter, r *http.Request) error {
	spoken, _ := locale.Match(r.Header.Get("Accept-Language"))
	products, err := a.Catalogue.List(r.Context(), spoken.Code())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Language", spoken.Code())
	w.Header().Set("Vary", "Accept-Language")
	writeJSON(w, http.StatusOK, products)
	return nil
}

// tokenOf reads the token of an order: in the header, where it stays out of
// logs, or in the address, for links and for browsers' EventSource.
func tokenOf(r *http.Request) string {
	if bearer, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); given {
		return strings.TrimSpace(bearer)
	}
	return r.URL.Query().Get("token")
}
