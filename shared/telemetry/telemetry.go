// Package telemetry makes the logger and the tracer of a process.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Config is how a process reports on itself.
type Config struct {
	// LogFormat is json, or text for people.
	LogFormat string `env:"LOG_FORMAT" envDefault:"json"`
	// Endpoint is the collector that spans go to, by OTLP over HTTP: its base, as
	// http://collector:4318; empty for nowhere.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
}

// NewLogger makes a logger for a function.
func NewLogger(w io.Writer, cfg Config, function string) *slog.Logger {
	var handler slog.Handler = slog.NewJSONHandler(w, nil)
	if cfg.LogFormat == "text" {
		handler = slog.NewTextHandler(w, nil)
	}
	return slog.New(handler).With("function", function)
}

// NewTracerProvider makes a source of spans. Without an endpoint the spans go
// nowhere, but every event still carries on its trace.
func NewTracerProvider(ctx context.Context, cfg Config, function string) (*trace.TracerProvider, error) {
	options := []trace.TracerProviderOption{
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", function))),
	}
	if cfg.Endpoint != "" {
		// The variable names a collector, and each signal has its path there.
		traces, err := url.JoinPath(cfg.Endpoint, "v1/traces")
		if err != nil {
			return nil, errors.New("environment: OTEL_EXPORTER_OTLP_ENDPOINT is not a URL")
		}
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(traces))
		if err != nil {
			return nil, fmt.Errorf("make span exporter: %w", err)
		}
		options = append(options, trace.WithBatcher(exporter))
	}
	return trace.NewTracerProvider(options...), nil
}

// traceparent is both the name of the CloudEvents extension and of W3C's header.
const traceparent = "traceparent"

// Extract continues the trace that an event carries.
func Extract(ctx context.Context, e event.Event) context.Context {
	value, _ := e.Extensions()[traceparent].(string)
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: value})
}

// TraceParent is what an event made in ctx carries to continue its trace; empty
// where there is no span.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}
