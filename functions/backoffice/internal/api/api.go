// Package api is the back office's HTTP interface, as the OpenAPI document
// beside this file says.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/problem"
)

//go:embed openapi.json
var document []byte

// timeout bounds every call, far below the 30 s of func's server.
const timeout = 10 * time.Second

// summaries looks up the figures of a period.
type summaries interface {
	Summary(ctx context.Context, from, to string) (analytics.Summary, error)
}

// door tells who may come in.
type door interface {
	Opens(r *http.Request) bool
}

type api struct {
	book   summaries
	door   door
	logger *slog.Logger
}

// New returns the interface.
func New(book summaries, door door, logger *slog.Logger) http.Handler {
	a := &api{book: book, door: door, logger: logger}
	mux := http.NewServeMux()
	route(mux, "/api/openapi.json", text("application/json", document))
	route(mux, "/api/analytics/summary", a.behindDoor(a.summary))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { problem.NotFound().Write(w) })
	return mux
}

// route serves GET and HEAD. There is nothing here to be changed yet.
func route(mux *http.ServeMux, path string, handle http.HandlerFunc) {
	mux.HandleFunc("GET "+path, handle)
	mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		problem.NotAllowed().Write(w)
	})
}

func text(contentType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(content) //nolint:errcheck,gosec // the client has left
	}
}

func (a *api) behindDoor(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !a.door.Opens(r) {
			problem.Closed().Write(w)
			return
		}
		handle(w, r)
	}
}

func (a *api) summary(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	query := r.URL.Query()
	summary, err := a.book.Summary(ctx, query.Get("from"), query.Get("to"))
	if err != nil {
		a.fail(w, r, problem.Of(err), err)
		return
	}
	// Before anything is sent: 200 can't be taken back.
	body, err := json.Marshal(summary)
	if err != nil {
		a.fail(w, r, problem.Broken(), err)
		return
	}
	text("application/json", body)(w, r)
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, answer problem.Problem, err error) {
	if answer.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		a.logger.ErrorContext(r.Context(), "api call", "route", r.Pattern, "status", answer.Status, "error", err.Error())
	}
	answer.Write(w)
}
