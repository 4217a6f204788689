package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestGatewayMeddles has each trouble do to a request what it says: how often it has
// an effect, and what the caller hears.
func TestGatewayMeddles(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		effects int64
		heard   string
	}{
		"":            {1, "200 done"},
		kindDuplicate: {3, "200 done"},
		kindReorder:   {1, "200 done"},
		kindDelay:     {1, "200 done"},
		kindLoseReply: {1, "cut"},
		kindSilence:   {0, "cut"},
		kindLate:      {1, "cut"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var effects atomic.Int64
			target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); string(body) == "event" {
					effects.Add(1)
				}
				_, _ = io.WriteString(w, "done")
			}))
			t.Cleanup(target.Close)
			g, err := openGateway(strings.TrimPrefix(target.URL, "http://"), 1)
			if err != nil {
				t.Fatal(err)
			}
			heard, met := callIn(t, g, kind)
			if kind == kindDuplicate { // the last of them comes later
				if err := eventually(t.Context(), 10*time.Second, func() bool { return effects.Load() == want.effects }); err != nil {
					t.Error(err)
				}
			}
			g.close()
			if heard != want.heard || effects.Load() != want.effects || (kind != "" && met != 1) {
				t.Errorf("heard %q with %d effects, %d met; want %q with %d", heard, effects.Load(), met, want.heard, want.effects)
			}
		})
	}
}

// callIn calls through the gateway while there is trouble.
func callIn(t *testing.T, g *gateway, kind string) (heard string, met int) {
	t.Helper()
	ended := make(chan int, 1)
	if kind != "" {
		go func() { ended <- g.meddle(context.Background(), fault{Kind: kind, For: time.Second}) }()
		if err := eventually(t.Context(), time.Second, func() bool { return g.trouble.Load() != nil }); err != nil {
			t.Fatal(err)
		}
	} else {
		ended <- 0
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", g.port), strings.NewReader("event"))
	if err != nil {
		t.Fatal(err)
	}
	request.GetBody = nil // otherwise the client would try again by itself
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "cut", <-ended
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, text), <-ended
}
