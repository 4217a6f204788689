package kafkasink_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an ingress with one sink until the test ends.
func start(t testing.TB, brokers []string, timeout time.Duration, logs *logLines) (url string) {
	t.Helper()
	server, err := kafkasink.New(kafkasink.Config{
		Listen: "127.0.0.1:0", Brokers: brokers, DeliveryTimeout: timeout,
		Sinks:  []kafkasink.Sink{{Namespace: "n", Name: "sink", Topic: "topic"}},
		Logger: slog.New(slog.NewTextHandler(logs, nil)),
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return "http://" + server.Addr() + "/n/sink"
}

func kafka(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(3, "topic"))...)
	if err != nil {
		t.Fatalf("start kafka: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func post(t *testing.T, url, contentType, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("make request: %v", err)
	}
	request.Header.Set("Content-Type", contentType)
	for name, value := range map[string]string{"Specversion": "1.0", "Id": "1", "Source": "/s", "Type": "t", "Partitionkey": "k"} {
		request.Header.Set("Ce-"+name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestKafkaAway answers 503 within the timeout while there is no Kafka, and 202
// again when there is, with one line for each.
func TestKafkaAway(t *testing.T) {
	t.Parallel()
	// The same folder, so that it is the same topic that comes back.
	folder := kfake.DataDir(t.TempDir())
	cluster := kafka(t, folder)
	port := cluster.ListenAddrs()[0][strings.LastIndex(cluster.ListenAddrs()[0], ":")+1:]
	var logs logLines
	url := start(t, cluster.ListenAddrs(), 300*time.Millisecond, &logs)
	if got := post(t, url, "text/plain", "x"); got != http.StatusAccepted {
		t.Fatalf("with kafka: status = %d", got)
	}
	cluster.Close()
	for range 3 {
		begin := time.Now()
		if got := post(t, url, "text/plain", "x"); got != http.StatusServiceUnavailable {
			t.Errorf("without kafka: status = %d", got)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("503 took %s", took)
		}
	}
	kafka(t, folder, kfake.Ports(number(t, port)))
	deadline := time.Now().Add(20 * time.Second)
	for post(t, url, "text/plain", "x") != http.StatusAccepted {
		if time.Now().After(deadline) {
			t.Fatal("no 202 after kafka is back")
		}
	}
	if away, back := logs.count("can't store"), logs.count("stores events again"); away != 1 || back != 1 {
		t.Errorf("lines: %d away, %d back, want one each", away, back)
	}
}

func number(t *testing.T, text string) (n int) {
	t.Helper()
	for _, digit := range text {
		n = n*10 + int(digit-'0')
	}
	return n
}

// TestKafkaRefuses has a broker that answers with an error that lasts, and with
// one that passes.
func TestKafkaRefuses(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	url := start(t, cluster.ListenAddrs(), time.Second, &logLines{})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
	if got := post(t, url, "text/plain", "x"); got != http.StatusServiceUnavailable {
		t.Errorf("refused: status = %d, want 503", got)
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2})
	if got := post(t, url, "text/plain", "x"); got != http.StatusAccepted {
		t.Errorf("refused twice: status = %d, want 202", got)
	}
}

func TestRefusedEvents(t *testing.T) {
	t.Parallel()
	url := start(t, kafka(t).ListenAddrs(), time.Second, &logLines{})
	for name, test := range map[string]struct {
		contentType, body string
		want              int
	}{
		"key is a number":    {"application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":7}`, 503},
		"body without end":   {"text/plain", strings.Repeat("x", 9<<20), 503},
		"XML format":         {"application/cloudevents+xml", "<event/>", 400},
		"JSON without sense": {"application/cloudevents+json", `[1]`, 400},
	} {
		if got := post(t, url, test.contentType, test.body); got != test.want {
			t.Errorf("%s: status = %d, want %d", name, got, test.want)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	url := start(t, cluster.ListenAddrs(), 5*time.Second, &logLines{})
	const senders = 100
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			if got := post(t, url, "text/plain", "x"); got != http.StatusAccepted {
				t.Errorf("status = %d", got)
			}
		})
	}
	running.Wait()
	var stored int64
	for _, p := range cluster.PartitionInfos("topic") {
		stored += p.HighWatermark
	}
	if stored != senders {
		t.Errorf("stored = %d, want %d", stored, senders)
	}
}

func TestOpenRefused(t *testing.T) {
	t.Parallel()
	config := kafkasink.Config{Listen: "127.0.0.1:0", Brokers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)}
	first, err := kafkasink.New(config)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer func() {
		if err := first.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	taken := config
	taken.Listen = first.Addr()
	if _, err := kafkasink.New(taken); !errors.Is(err, kafkasink.ErrPortTaken) || strings.Contains(err.Error(), "\n") {
		t.Errorf("port taken: %v", err)
	}
	for _, sink := range []kafkasink.Sink{
		{Namespace: "n", Name: "s"},
		{Namespace: "n", Name: "s/t", Topic: "t"},
		{Namespace: "n", Name: "s", Topic: "t", ContentMode: "batch"},
	} {
		bad := config
		bad.Sinks = []kafkasink.Sink{sink}
		if _, err := kafkasink.New(bad); err == nil {
			t.Errorf("sink %+v is accepted", sink)
		}
	}
}
