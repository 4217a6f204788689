package pingsource_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/pingsource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that a wait moves on, until it has no more waits to give.
type clock struct {
	now   time.Time
	waits int
}

func (c *clock) wait(_ context.Context, delay time.Duration) error {
	if c.waits == 0 {
		return context.Canceled
	}
	c.waits--
	c.now = c.now.Add(delay)
	return nil
}

// run runs one source for a number of pings and returns what it logged.
func run(t *testing.T, source pingsource.Source, pings int) string {
	t.Helper()
	var logs bytes.Buffer
	// In a zone that is not UTC, half a minute before midnight there.
	c := &clock{now: time.Date(2026, 1, 1, 23, 59, 30, 0, time.FixedZone("", 2*3600)), waits: pings}
	err := pingsource.Run(t.Context(), pingsource.Config{
		Sources: []pingsource.Source{source}, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
		Now: func() time.Time { return c.now }, Wait: c.wait,
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return logs.String()
}

func TestPings(t *testing.T) {
	t.Parallel()
	for schedule, want := range map[string][]string{ // after a | the time zone
		"0 6 * * *|America/New_York": {"2026-01-02T11:00:00Z", "2026-01-03T11:00:00Z", "2026-01-04T11:00:00Z"},
		"0 6 * * *|Etc/UTC":          {"2026-01-02T06:00:00Z", "2026-01-03T06:00:00Z", "2026-01-04T06:00:00Z"},
		"* * * * *":                  {"2026-01-01T22:00:00Z", "2026-01-01T22:01:00Z", "2026-01-01T22:02:00Z"},
		"*/15 * * * *":               {"2026-01-01T22:00:00Z", "2026-01-01T22:15:00Z", "2026-01-01T22:30:00Z"},
		"0 6 * * 1-5":                {"2026-01-02T06:00:00Z", "2026-01-05T06:00:00Z", "2026-01-06T06:00:00Z"},
	} {
		t.Run(schedule, func(t *testing.T) {
			t.Parallel()
			var got []string
			ids := map[string]bool{}
			sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = append(got, r.Header.Get("Ce-Time"))
				ids[r.Header.Get("Ce-Id")] = true
			}))
			defer sink.Close()
			times, timezone, _ := strings.Cut(schedule, "|")
			run(t, pingsource.Source{Schedule: times, Timezone: timezone, Sink: sink.URL}, 3)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("times (-want +got):\n%s", diff)
			}
			if len(ids) != 3 {
				t.Errorf("different ids = %d, want 3", len(ids))
			}
		})
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	got, body := map[string]string{}, ""
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "Ce-") || name == "Content-Type" {
				got[name] = r.Header.Get(name)
			}
		}
		data, _ := io.ReadAll(r.Body)
		body = string(data)
	}))
	defer sink.Close()
	run(t, pingsource.Source{
		Namespace: "orderflow", Name: "every-minute", Schedule: "* * * * *",
		ContentType: "application/json", Data: `{"a":1}`, Sink: sink.URL,
	}, 1)
	delete(got, "Ce-Id")
	want := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": "dev.knative.sources.ping", "Ce-Time": "2026-01-01T22:00:00Z",
		"Ce-Source": "/apis/v1/namespaces/orderflow/pingsources/every-minute", "Content-Type": "application/json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if body != `{"a":1}` {
		t.Errorf("data = %q", body)
	}
}

// TestSinkDown says once that pings fail and once that they arrive again.
func TestSinkDown(t *testing.T) {
	t.Parallel()
	answers := []int{503, 500, 404, 202, 200}
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer sink.Close()
	logs := run(t, pingsource.Source{Schedule: "* * * * *", Sink: sink.URL}, len(answers))
	down, again := strings.Count(logs, "do not arrive"), strings.Count(logs, "arrive again")
	if down != 1 || again != 1 {
		t.Errorf("lines: %d down, %d again, want one each:\n%s", down, again, logs)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, source := range []pingsource.Source{
		{Schedule: "", Sink: "http://127.0.0.1:1"},
		{Schedule: "@every 1s", Sink: "http://127.0.0.1:1"},
		{Schedule: "* * * * * *", Sink: "http://127.0.0.1:1"},
		{Schedule: "* * * * *", Timezone: "Europe/Atlantis", Sink: "http://127.0.0.1:1"},
		{Schedule: "TZ=UTC * * * * *", Timezone: "Etc/UTC", Sink: "http://127.0.0.1:1"},
		{Schedule: "61 * * * *", Sink: "http://127.0.0.1:1"},
		{Schedule: "* * * * *", Sink: "http://127.0.0.1:1\n"},
	} {
		config := pingsource.Config{Sources: []pingsource.Source{source}, Logger: slog.New(slog.DiscardHandler)}
		if err := pingsource.Run(t.Context(), config); err == nil {
			t.Errorf("source %+v is accepted", source)
		}
	}
}
