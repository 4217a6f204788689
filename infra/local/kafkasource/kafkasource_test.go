package kafkasource_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(childSource); job != "" {
		os.Exit(runChild(job))
	}
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// kafkaBroker is a broker that lets members of a group time out quickly.
func kafkaBroker(t *testing.T, opts ...kfake.Opt) (cluster *kfake.Cluster, brokers []string) {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))...)
	if err != nil {
		t.Fatalf("start kafka: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster, cluster.ListenAddrs()
}

// start runs a dispatcher until the test ends or stop is called.
func start(t *testing.T, config kafkasource.Config) (stop func()) {
	t.Helper()
	if config.Logger == nil {
		config.Logger = quiet()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- kafkasource.Run(ctx, config) }()
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
	return stop
}

// serve makes a handler reachable until the test ends.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
