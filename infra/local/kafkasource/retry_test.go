package kafkasource_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// TestBackoff records the delays that are asked for and lets none pass.
func TestBackoff(t *testing.T) {
	t.Parallel()
	second, none := time.Second, time.Duration(0)
	for name, test := range map[string]struct {
		delivery *kafkasource.Delivery
		want     []string
	}{
		"no delivery block": {nil, []string{
			"600ms", "1.2s", "2.4s", "4.8s", "9.6s", "19.2s", "38.4s", "1m16.8s", "2m33.6s", "5m7.2s",
		}},
		"empty block":         {&kafkasource.Delivery{}, nil},
		"retry only":          {&kafkasource.Delivery{Retry: 3}, []string{"400ms", "800ms", "1.6s"}},
		"linear":              {&kafkasource.Delivery{Retry: 3, BackoffPolicy: kafkasource.Linear, BackoffDelay: &second}, []string{"1s", "2s", "3s"}},
		"exponential":         {&kafkasource.Delivery{Retry: 3, BackoffPolicy: kafkasource.Exponential, BackoffDelay: &second}, []string{"2s", "4s", "8s"}},
		"delay of zero":       {&kafkasource.Delivery{Retry: 2, BackoffDelay: &none}, []string{"0s", "0s"}},
		"backoff, no retries": {&kafkasource.Delivery{BackoffDelay: &second}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, delays(t, test.delivery)); diff != "" {
				t.Errorf("delays (-want +got):\n%s", diff)
			}
		})
	}
}

func delays(t *testing.T, delivery *kafkasource.Delivery) []string {
	t.Helper()
	cluster, brokers := kafkaBroker(t, kfake.SeedTopics(1, "topic"))
	produce(t, brokers, "topic", 1)
	sink := newInbox(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	source := unordered(brokers, serve(t, sink))
	source.Delivery = delivery
	var got []string
	stop := start(t, kafkasource.Config{
		Sources:        []kafkasource.Source{source},
		CommitInterval: 10 * time.Millisecond,
		Wait: func(_ context.Context, delay time.Duration) error {
			got = append(got, delay.String())
			return nil
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := cluster.WaitGroupInfo(ctx, "g", committed(1))
	if err != nil {
		t.Fatalf("the event is not finished: %v", err)
	}
	stop()
	if n := sink.times("0"); n != len(got)+1 {
		t.Errorf("attempts = %d, delays = %d", n, len(got))
	}
	return got
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT0.2S": 200 * time.Millisecond, "PT1M": time.Minute, "PT10M30S": 630 * time.Second,
		"P1DT12H": 36 * time.Hour, "P2D": 48 * time.Hour, "PT0S": 0, "PT600S": 10 * time.Minute, "PT3276.7S": 3276700 * time.Millisecond,
	} {
		if got, err := kafkasource.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "500ms", "PT-1S", "P1Y", "P1W", "PT1", "1S", "P1DT", "PT3276.8S"} {
		if got, err := kafkasource.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s, want an error", text, got)
		}
	}
}

func TestSourceRefused(t *testing.T) {
	t.Parallel()
	negative := -time.Second
	for want, change := range map[string]func(*kafkasource.Source){
		"consumer group":     func(s *kafkasource.Source) { s.ConsumerGroup = "" },
		"topics":             func(s *kafkasource.Source) { s.Topics = nil },
		"absolute URL":       func(s *kafkasource.Source) { s.Sink = "/here" },
		"initialOffset":      func(s *kafkasource.Source) { s.InitialOffset = "first" },
		"ordering":           func(s *kafkasource.Source) { s.Ordering = "random" },
		"key type":           func(s *kafkasource.Source) { s.KeyType = "double" },
		"below zero":         func(s *kafkasource.Source) { s.Delivery = &kafkasource.Delivery{BackoffDelay: &negative} },
		"backoffPolicy":      func(s *kafkasource.Source) { s.Delivery = &kafkasource.Delivery{BackoffPolicy: "cubic"} },
		"dead letter sink":   func(s *kafkasource.Source) { s.Delivery = &kafkasource.Delivery{DeadLetterSink: "dead"} },
		"kafka source n/bad": func(s *kafkasource.Source) { s.Name, s.Sink = "bad", "" },
	} {
		source := unordered([]string{"127.0.0.1:1"}, "http://127.0.0.1:1")
		change(&source)
		err := kafkasource.Run(t.Context(), kafkasource.Config{Sources: []kafkasource.Source{source}, Logger: quiet()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run = %v, want an error with %q", err, want)
		}
	}
}
