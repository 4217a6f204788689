package kafkasource_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// BenchmarkThrough sends events by HTTP into a sink and takes them from a
// source: broker, sink, source, sender and receiver share the machine.
func BenchmarkThrough(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "topic"))
	if err != nil {
		b.Fatalf("start kafka: %v", err)
	}
	defer cluster.Close()
	var arrived atomic.Int64
	all := make(chan struct{})
	server, err := kafkasink.New(kafkasink.Config{
		Listen: "127.0.0.1:0", Brokers: cluster.ListenAddrs(), Logger: quiet(),
		Sinks: []kafkasink.Sink{{Namespace: "n", Name: "s", Topic: "topic"}},
	})
	if err != nil {
		b.Fatalf("open sink: %v", err)
	}
	receiver := serveBench(b, func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == int64(b.N) {
			close(all)
		}
	})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	running.Go(func() {
		_ = kafkasource.Run(ctx, kafkasource.Config{
			Sources: []kafkasource.Source{unordered(cluster.ListenAddrs(), receiver)}, Logger: quiet(),
		})
	})
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	sendAll(b, "http://"+server.Addr()+"/n/s", b.N)
	<-all
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/event")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	running.Wait()
}

// processorTime is the figure to trust on a machine that does other things too.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatalf("getrusage: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func serveBench(b *testing.B, handler http.HandlerFunc) string {
	b.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	listener := listen(b)
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// sendAll sends n events with 64 senders.
func sendAll(b *testing.B, url string, n int) {
	b.Helper()
	const senders = 64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	body := strings.Repeat("x", 500)
	var next atomic.Int64
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			for id := next.Add(1); id <= int64(n); id = next.Add(1) {
				request, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
				for name, value := range map[string]string{
					"Specversion": "1.0", "Id": strconv.FormatInt(id, 10), "Source": "/orderflow/storefront",
					"Type": "orderflow.order.placed.v1", "Subject": "0198", "Partitionkey": strconv.FormatInt(id, 10),
					"Time": "2026-01-02T03:04:05.678Z", "Dataschema": "https://orderflow.example/x",
				} {
					request.Header["Ce-"+name] = []string{value}
				}
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				if err != nil || response.StatusCode != http.StatusAccepted {
					b.Errorf("send: %v %v", response, err)
					return
				}
				_ = response.Body.Close()
			}
		})
	}
	running.Wait()
}

func listen(b *testing.B) net.Listener {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatalf("listen: %v", err)
	}
	return listener
}
