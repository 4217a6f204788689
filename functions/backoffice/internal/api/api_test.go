package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/api"
)

// unwritable are figures of a time that can't be written in RFC 3339.
type unwritable struct{}

func (unwritable) Summary(context.Context, string, string) (analytics.Summary, error) {
	return analytics.Summary{From: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
}

type open struct{}

func (open) Opens(*http.Request) bool { return true }

func TestFiguresThatCantBeWrittenAreNot200(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	office := api.New(unwritable{}, open{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	office.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/analytics/summary", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"status":500`) || strings.Contains(w.Body.String(), "year") {
		t.Errorf("answered %d %s, want 500 that says nothing of the reason", w.Code, w.Body)
	}
}
