package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNoSuchFileIsAPageOfTheShop(t *testing.T) {
	t.Parallel()
	shop, err := New(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/static/", "/static/nothing", "/static/nothing.js?v=1", "/static/products"} {
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Nothing on this shelf") {
			t.Errorf("GET %s = %d %.100s, want 404 as a page", path, w.Code, w.Body)
		}
		if header := w.Header(); header.Get("Content-Type") != "text/html; charset=utf-8" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: %v, want HTML that isn't kept", path, header)
		}
	}
}
