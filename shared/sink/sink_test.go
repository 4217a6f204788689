package sink_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderflow-project/orderflow/shared/sink"
)

func example(t *testing.T) event.Event {
	t.Helper()
	e := event.New()
	e.SetID("1")
	e.SetType("t")
	e.SetSource("/s")
	if err := e.SetData(event.ApplicationJSON, map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSendGoesToTheSibling(t *testing.T) {
	t.Parallel()
	var path, extension string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, extension = r.URL.Path, r.Header.Get("Ce-Region")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	client, err := sink.NewClient(sink.Config{
		URL: server.URL + "/orderflow/order-placed", Overrides: `{"extensions":{"region":"eu"}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Send(t.Context(), "order-cancelled", example(t)); err != nil {
		t.Fatal(err)
	}
	if path != "/orderflow/order-cancelled" || extension != "eu" {
		t.Errorf("sent to %q with region %q", path, extension)
	}
}

func TestOnlyAcceptanceIsSuccess(t *testing.T) {
	t.Parallel()
	for status, ok := range map[int]bool{200: false, 202: true, 204: false, 301: false, 302: false, 400: false, 404: false, 500: false, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		client, err := sink.NewClient(sink.Config{URL: server.URL + "/ns/s"})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Send(t.Context(), "s", example(t)); ok != (err == nil) {
			t.Errorf("Send() with status %d = %v", status, err)
		}
		server.Close()
	}
}

func TestUnboundAndWrong(t *testing.T) {
	t.Parallel()
	client, err := sink.NewClient(sink.Config{})
	if err != nil || client.Bound() {
		t.Fatalf("NewClient() without K_SINK = bound %t, %v", client.Bound(), err)
	}
	if err := client.Send(t.Context(), "s", example(t)); !errors.Is(err, sink.ErrUnbound) {
		t.Errorf("Send() = %v, want ErrUnbound", err)
	}
	for _, cfg := range []sink.Config{
		{URL: "not a url"}, {URL: "http://x/a/b", Overrides: "{"}, {URL: "https://x/a/b", CACerts: "nothing"},
	} {
		if _, err := sink.NewClient(cfg); err == nil || !strings.Contains(err.Error(), "K_") {
			t.Errorf("NewClient(%+v) = %v, want an error that names the variable", cfg, err)
		}
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	client, err := sink.NewClient(sink.Config{URL: server.URL + "/ns/s"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Send(ctx, "s", example(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Send() = %v, want canceled", err)
	}
}
