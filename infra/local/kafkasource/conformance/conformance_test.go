package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/apachekafka"
	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource/conformance"
)

// childSource is the environment variable that makes this program a dispatcher.
const childSource = "CONFORMANCE_CHILD"

const (
	// A group must not wait ten seconds for a dispatcher that was killed.
	session        = 500 * time.Millisecond
	commitInterval = 50 * time.Millisecond
	// enough is what the suite has at least; fewer say that it wasn't all run.
	enough = 100
)

func TestMain(m *testing.M) {
	if job := os.Getenv(childSource); job != "" {
		if err := dispatch(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestConformance holds a data plane to the cases: without flags the emulation,
// on a Kafka of its own.
func TestConformance(t *testing.T) {
	var target conformance.Target
	if external.ingress != "" {
		target = external.target()
	} else {
		target = emulation(t)
	}
	tally := &conformance.Tally{}
	t.Run("cases", func(t *testing.T) { conformance.Run(t, target, tally) })
	if err := tally.Print(os.Stdout); err != nil {
		t.Error(err)
	}
	if cases := tally.Cases(); cases < enough {
		t.Errorf("%d cases were run, want at least %d", cases, enough)
	}
}

// emulation is ours, each source in a process that can be killed, on Apache
// Kafka where KAFKA_JARS says where it is.
func emulation(t *testing.T) conformance.Target {
	t.Helper()
	target := conformance.Target{
		Brokers:    kafka(t),
		Binary:     kafkasink.Sink{Namespace: "n", Name: "binary", Topic: "binary"},
		Structured: kafkasink.Sink{Namespace: "n", Name: "structured", Topic: "structured", ContentMode: kafkabinding.Structured},
		Namespace:  "conformance",
		Serve:      serve,
		Apply:      startDispatcher,
	}
	target.Ingress = ingress(t, target.Brokers, target.Binary, target.Structured)
	return target
}

// kafka starts a Kafka with the topics of the sinks.
func kafka(t *testing.T) []string {
	t.Helper()
	jars := os.Getenv("KAFKA_JARS")
	if jars == "" {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(session), kfake.SeedTopics(3, "binary", "structured"))
		if err != nil {
			t.Fatalf("start kafka: %v", err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()
	}
	brokers := []string{apachekafka.Start(t, jars).Brokers}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatalf("connect to kafka: %v", err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 3, 1, nil, "binary", "structured"); err != nil {
		t.Fatalf("create topics: %v", err)
	}
	return brokers
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

func ingress(t *testing.T, brokers []string, sinks ...kafkasink.Sink) string {
	t.Helper()
	server, err := kafkasink.New(kafkasink.Config{Listen: "127.0.0.1:0", Brokers: brokers, Sinks: sinks, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("open kafka sink: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run kafka sink: %v", err)
		}
	})
	return "http://" + server.Addr()
}

// dispatch delivers the events of one source until SIGTERM.
func dispatch(job string) error {
	var source kafkasource.Source
	if err := json.Unmarshal([]byte(job), &source); err != nil {
		return err
	}
	ctx, stop := signalled()
	defer stop()
	return kafkasource.Run(ctx, kafkasource.Config{
		Sources: []kafkasource.Source{source}, Logger: slog.New(slog.DiscardHandler),
		CommitInterval: commitInterval, SessionTimeout: session, StopGrace: time.Second,
	})
}

// startDispatcher runs a source in a process of its own.
func startDispatcher(t *testing.T, source kafkasource.Source) conformance.Applied {
	t.Helper()
	job, err := json.Marshal(source)
	if err != nil {
		t.Fatalf("encode source: %v", err)
	}
	var child *exec.Cmd
	start := func() {
		child = exec.Command(os.Args[0]) //nolint:gosec // our own program
		child.Env = append(os.Environ(), childSource+"="+string(job))
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatalf("start dispatcher: %v", err)
		}
	}
	end := func(sig os.Signal) {
		if child == nil {
			return
		}
		_ = child.Process.Signal(sig)
		_ = child.Wait()
		child = nil
	}
	start()
	t.Cleanup(func() { end(os.Kill) })
	return conformance.Applied{
		Pause: func() { end(terminate) },
		Kill:  func() { end(os.Kill); start() },
	}
}
