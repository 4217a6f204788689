package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// The variable holds a collector's base, wherever the collector has it.
func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"": "/v1/traces", "/": "/v1/traces", "/otlp": "/otlp/v1/traces"} {
		paths := make(chan string, 1)
		collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
		provider, err := telemetry.NewTracerProvider(t.Context(), telemetry.Config{Endpoint: collector.URL + base}, "test")
		if err != nil {
			t.Fatal(err)
		}
		_, span := provider.Tracer("test").Start(t.Context(), "work")
		span.End()
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if path := <-paths; path != want {
			t.Errorf("with %q spans went to %s, want %s", base, path, want)
		}
		collector.Close()
	}
	if _, err := telemetry.NewTracerProvider(t.Context(), telemetry.Config{Endpoint: "http://a b"}, "test"); err == nil {
		t.Error("what is no URL is taken")
	}
}

// Without a collector events carry on their trace all the same.
func TestTracesGoOnWithoutCollector(t *testing.T) {
	t.Parallel()
	provider, err := telemetry.NewTracerProvider(t.Context(), telemetry.Config{}, "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := provider.Tracer("test").Start(t.Context(), "work")
	defer span.End()
	if telemetry.TraceParent(ctx) == "" || telemetry.TraceParent(t.Context()) != "" {
		t.Errorf("TraceParent = %q within a span, %q without", telemetry.TraceParent(ctx), telemetry.TraceParent(t.Context()))
	}
}
