package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(dir string, topics ...broker.Topic) broker.Config {
	return broker.Config{DataDir: dir, Topics: topics, Logger: slog.New(slog.DiscardHandler)}
}

func orders(partitions int32, retention time.Duration) broker.Topic {
	return broker.Topic{Name: "orders", Partitions: partitions, Retention: retention, RetentionBytes: 1 << 20}
}

// run runs a broker until stop is called, at the latest at the end of the test.
func run(t *testing.T, c broker.Config) (b *broker.Broker, stop func()) {
	t.Helper()
	b, err := broker.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return b, stop
}

func client(t *testing.T, b *broker.Broker) (*kgo.Client, *kadm.Client) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(c.Close)
	return c, kadm.NewClient(c)
}

// TestSecondStart keeps records and committed offsets, and gives topics what
// the configuration has added since.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kafka")
	first, stop := run(t, config(dir, orders(2, time.Hour)))
	c, admin := client(t, first)
	for range 10 {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatalf("produce: %v", err)
		}
	}
	committed := kadm.Offsets{}
	committed.AddOffset("orders", 0, 3, -1)
	if err := admin.CommitAllOffsets(t.Context(), "group", committed); err != nil {
		t.Fatalf("commit: %v", err)
	}
	stop()

	second, _ := run(t, config(dir, orders(4, broker.Unbounded)))
	_, admin = client(t, second)
	ends, err := admin.ListEndOffsets(t.Context(), "orders")
	if err != nil {
		t.Fatalf("list end offsets: %v", err)
	}
	var sum int64
	ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
	if partitions := len(ends["orders"]); sum != 10 || partitions != 4 {
		t.Errorf("after the second start: %d records in %d partitions, want 10 in 4", sum, partitions)
	}
	offsets, err := admin.FetchOffsets(t.Context(), "group")
	if at, _ := offsets.Lookup("orders", 0); err != nil || at.At != 3 {
		t.Errorf("committed offset = %d, %v, want 3", at.At, err)
	}
	if got := setting(t, admin, "retention.ms"); got != "-1" {
		t.Errorf("retention.ms = %q, want -1", got)
	}
}

func setting(t *testing.T, admin *kadm.Client, key string) string {
	t.Helper()
	configs, err := admin.DescribeTopicConfigs(t.Context(), "orders")
	if err != nil {
		t.Fatalf("describe topic: %v", err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

func TestOpenRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, config(dir))
	if _, err := broker.Open(t.Context(), config(dir)); !errors.Is(err, broker.ErrFolderInUse) {
		t.Errorf("folder in use: %v", err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("take a port: %v", err)
	}
	defer listener.Close()
	taken := config(t.TempDir())
	taken.Port = listener.Addr().(*net.TCPAddr).Port
	_, err = broker.Open(t.Context(), taken)
	if !errors.Is(err, broker.ErrPortTaken) || strings.Contains(err.Error(), "\n") {
		t.Errorf("port taken: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatalf("write file: %v", err)
	}
	if _, err := broker.Open(t.Context(), config(file)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("data folder is a file: %v", err)
	}
	if _, err := broker.Open(t.Context(), config(t.TempDir(), broker.Topic{Name: "orders", Partitions: 1})); err == nil {
		t.Error("a topic without retention is accepted")
	}
}
