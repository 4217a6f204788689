package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/api"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/guard"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// What is read gets as far as 400: the body is none.
func TestWhatABodySaysOfItself(t *testing.T) {
	t.Parallel()
	now := time.Now()
	shop := api.New(api.Parts{Limiter: guard.NewLimiter(1000, 0), Now: func() time.Time { return now }, BodyTimeout: time.Second})
	for name, test := range map[string]struct {
		contentType string
		encodings   []string
		want        int
		says        string
	}{
		"nothing":                {"application/json", nil, http.StatusBadRequest, ""},
		"UTF-8":                  {"application/json; charset=UTF-8", nil, http.StatusBadRequest, ""},
		"UTF-8 in quotes":        {`application/json; charset="utf-8"`, nil, http.StatusBadRequest, ""},
		"another parameter":      {"application/json; version=1", nil, http.StatusBadRequest, ""},
		"no encoding":            {"application/json", []string{""}, http.StatusBadRequest, ""},
		"identity":               {"application/json", []string{"Identity"}, http.StatusBadRequest, ""},
		"a form":                 {"application/x-www-form-urlencoded", nil, http.StatusUnsupportedMediaType, "application/json"},
		"UTF-16":                 {"application/json; charset=utf-16", nil, http.StatusUnsupportedMediaType, "utf-8"},
		"Latin-1":                {"application/json; charset=iso-8859-1", nil, http.StatusUnsupportedMediaType, "utf-8"},
		"no charset":             {`application/json; charset=""`, nil, http.StatusUnsupportedMediaType, "utf-8"},
		"gzip":                   {"application/json", []string{"gzip"}, http.StatusUnsupportedMediaType, "Content-Encoding"},
		"gzip within identity":   {"application/json", []string{"identity, gzip"}, http.StatusUnsupportedMediaType, "Content-Encoding"},
		"gzip in another header": {"application/json", []string{"identity", "gzip"}, http.StatusUnsupportedMediaType, "Content-Encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/orders", strings.NewReader("no JSON"))
			r.Header.Set("Content-Type", test.contentType)
			r.Header["Content-Encoding"] = test.encodings
			w := httptest.NewRecorder()
			shop.ServeHTTP(w, r)
			var refusal problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.want || refusal.Status != test.want || !strings.Contains(refusal.Detail, test.says) {
				t.Errorf("answered %d %+v, want %d that names %s", w.Code, refusal, test.want, test.says)
			}
			if asks := w.Header().Get("Accept-Encoding") != ""; asks != (test.says == "Content-Encoding") {
				t.Errorf("Accept-Encoding: %q", w.Header().Get("Accept-Encoding"))
			}
		})
	}
}
