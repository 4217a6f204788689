package kafkasource_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/shared/freeport"
)

const patience = 30 * time.Second

// inbox counts what arrives, by event id.
type inbox struct {
	answer http.HandlerFunc
	mu     sync.Mutex
	counts map[string]int
	change chan struct{}
}

func newInbox(answer http.HandlerFunc) *inbox {
	return &inbox{answer: answer, counts: map[string]int{}, change: make(chan struct{}, 10000)}
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// With the body unread the server would not notice that the client leaves.
	_, _ = io.Copy(io.Discard, r.Body)
	i.mu.Lock()
	i.counts[r.Header.Get("Ce-Id")]++
	i.mu.Unlock()
	i.change <- struct{}{}
	if i.answer != nil {
		i.answer(w, r)
	}
}

// times is how often an event has come so far. A test that is done waiting
// still has deliveries under way, so it reads by this alone.
func (i *inbox) times(id string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts[id]
}

// await waits until the counts are as they should be.
func (i *inbox) await(t *testing.T, what string, holds func(map[string]int) bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		i.mu.Lock()
		done, seen := holds(i.counts), fmt.Sprint(i.counts)
		i.mu.Unlock()
		if done {
			return
		}
		select {
		case <-i.change:
		case <-timeout.C:
			t.Fatalf("%s: not within %s: %s", what, patience, seen)
		}
	}
}

func each(n, times int) func(map[string]int) bool {
	return func(counts map[string]int) bool {
		for id := range n {
			if counts[strconv.Itoa(id)] < times {
				return false
			}
		}
		return true
	}
}

// produce writes n events with the ids 0..n-1, over all partitions.
func produce(t *testing.T, brokers []string, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		t.Fatalf("connect to kafka: %v", err)
	}
	defer client.Close()
	for id := range n {
		record := &kgo.Record{Topic: topic, Value: []byte("x")}
		for _, h := range []string{"specversion: 1.0", "id: " + strconv.Itoa(id), "source: /s", "type: t"} {
			name, value, _ := strings.Cut(h, ": ")
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(value)})
		}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatalf("produce: %v", err)
		}
	}
}

func unordered(brokers []string, sink string) kafkasource.Source {
	return kafkasource.Source{
		Namespace: "n", Name: "s", ConsumerGroup: "g", Topics: []string{"topic"}, BootstrapServers: brokers,
		InitialOffset: kafkasource.Earliest, Ordering: kafkasource.Unordered, Sink: sink,
	}
}

// TestKilledBeforeCommit kills a dispatcher (-9) that has delivered everything
// and committed nothing: another one delivers everything again.
func TestKilledBeforeCommit(t *testing.T) {
	t.Parallel()
	_, brokers := kafkaBroker(t, kfake.SeedTopics(2, "topic"))
	const events = 20
	produce(t, brokers, "topic", events)
	sink := newInbox(nil)
	source := unordered(brokers, serve(t, sink))

	const session = 500 * time.Millisecond
	kill := child{Source: source, Session: session}.start(t)
	sink.await(t, "first delivery", each(events, 1))
	kill()
	start(t, kafkasource.Config{Sources: []kafkasource.Source{source}, SessionTimeout: session})
	sink.await(t, "second delivery", each(events, 2))
}

// TestStopKeepsUnfinished stops a dispatcher in the middle of a request that
// does not end and of a retry that is far off: both events come again.
func TestStopKeepsUnfinished(t *testing.T) {
	t.Parallel()
	_, brokers := kafkaBroker(t, kfake.SeedTopics(1, "topic"))
	produce(t, brokers, "topic", 3)
	healed := make(chan struct{})
	sink := newInbox(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-healed:
			return
		default:
		}
		switch r.Header.Get("Ce-Id") {
		case "1":
			<-r.Context().Done()
		case "2":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	source := unordered(brokers, serve(t, sink))
	hour := time.Hour
	source.Delivery = &kafkasource.Delivery{Retry: 1, BackoffDelay: &hour}
	config := kafkasource.Config{Sources: []kafkasource.Source{source}, StopGrace: 10 * time.Millisecond}
	stop := start(t, config)
	sink.await(t, "first delivery", each(3, 1))
	stop()
	close(healed)
	start(t, config)
	sink.await(t, "delivery after the stop", func(counts map[string]int) bool { return counts["1"] == 2 && counts["2"] == 2 })
	if got := sink.times("0"); got != 1 {
		t.Errorf("event that was finished came %d times, want 1", got)
	}
}

// TestRebalance lets a second dispatcher join under way and the first one
// leave: no event is lost, and both have had some.
func TestRebalance(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafkaBroker(t, kfake.SeedTopics(4, "topic"))
	one, two := newInbox(nil), newInbox(nil)
	config := func(sink *inbox) kafkasource.Config {
		return kafkasource.Config{
			Sources:        []kafkasource.Source{unordered(brokers, serve(t, sink))},
			SessionTimeout: time.Second, CommitInterval: 20 * time.Millisecond,
		}
	}
	produce(t, brokers, "topic", 40)
	stopOne := start(t, config(one))
	one.await(t, "all at the first", each(40, 1))

	start(t, config(two))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := cluster.WaitGroupStable(ctx, "g", 2); err != nil {
		t.Fatalf("wait for two members: %v", err)
	}
	produce(t, brokers, "topic", 80)
	two.await(t, "some at the second", func(counts map[string]int) bool { return len(counts) >= 40 })
	stopOne()
	produce(t, brokers, "topic", 120)
	two.await(t, "the newest at the second", func(counts map[string]int) bool {
		newest := 0
		for id := 80; id < 120; id++ {
			newest += min(counts[strconv.Itoa(id)], 1)
		}
		return newest == 40
	})
	for id := 40; id < 80; id++ {
		if key := strconv.Itoa(id); one.times(key)+two.times(key) == 0 {
			t.Errorf("event %d came to nobody", id)
		}
	}
}

// TestKafkaDownAtStart starts before Kafka does, and says so once.
func TestKafkaDownAtStart(t *testing.T) {
	t.Parallel()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	brokers := []string{fmt.Sprintf("127.0.0.1:%d", port)}
	sink := newInbox(nil)
	logs := &lines{seen: make(chan string, 1000)}
	latest := unordered(brokers, serve(t, sink))
	latest.Name, latest.ConsumerGroup, latest.InitialOffset = "latest", "h", kafkasource.Latest
	start(t, kafkasource.Config{
		Sources: []kafkasource.Source{unordered(brokers, serve(t, sink)), latest}, Logger: slog.New(slog.NewTextHandler(logs, nil)),
	})
	logs.await(t, "can't be reached")
	cluster, _ := kafkaBroker(t, kfake.Ports(port), kfake.SeedTopics(1, "topic"))
	_ = cluster
	produce(t, brokers, "topic", 1)
	sink.await(t, "delivery", each(1, 1))
	logs.await(t, "kafka is back")
	logs.mu.Lock()
	defer logs.mu.Unlock()
	if n := strings.Count(strings.Join(logs.all, ""), "can't be reached"); n != 1 {
		t.Errorf("said %d times that kafka can't be reached, want 1:\n%s", n, strings.Join(logs.all, ""))
	}
}

// TestCommitRefused goes on delivering while commits fail, and catches up.
func TestCommitRefused(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafkaBroker(t, kfake.SeedTopics(1, "topic"))
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	sink := newInbox(nil)
	logs := &lines{seen: make(chan string, 1000)}
	start(t, kafkasource.Config{
		Sources: []kafkasource.Source{unordered(brokers, serve(t, sink))}, Logger: slog.New(slog.NewTextHandler(logs, nil)),
		CommitInterval: 20 * time.Millisecond,
	})
	produce(t, brokers, "topic", 5)
	sink.await(t, "delivery", each(5, 1))
	logs.await(t, "can't commit")
	fault.Remove()
	logs.await(t, "commits offsets again")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := cluster.WaitGroupInfo(ctx, "g", committed(5))
	if err != nil {
		t.Errorf("offset 5 is not committed: %v", err)
	}
}

func committed(offset int64) func(*kfake.GroupInfo) bool {
	return func(g *kfake.GroupInfo) bool { return g != nil && g.Commits["topic"][0].Offset == offset }
}

func TestLogs(t *testing.T) {
	t.Parallel()
	_, brokers := kafkaBroker(t, kfake.SeedTopics(1, "topic"))
	produce(t, brokers, "topic", 3)
	sink := newInbox(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") != "0" {
			http.Error(w, "jane@example.test", http.StatusUnprocessableEntity)
		}
	})
	dead := newInbox(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "2" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	logs := &lines{seen: make(chan string, 1000)}
	source := unordered(brokers, serve(t, sink))
	source.Delivery = &kafkasource.Delivery{DeadLetterSink: serve(t, dead)}
	stop := start(t, kafkasource.Config{Sources: []kafkasource.Source{source}, Logger: slog.New(slog.NewTextHandler(logs, nil))})
	logs.await(t, "event dead-lettered")
	logs.await(t, "event dropped")
	stop()
	logs.mu.Lock()
	defer logs.mu.Unlock()
	var got []string
	for _, line := range logs.all {
		if strings.Contains(line, "event_id=") {
			_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
			got = append(got, line)
		}
	}
	want := []string{
		`level=WARN msg="event dead-lettered" source=s topic=topic partition=0 offset=1 event_id=1 type=t status=422`,
		`level=ERROR msg="event dropped: dead letter sink does not take it" source=s topic=topic partition=0 offset=2 event_id=2 type=t status=403`,
	}
	if strings.Contains(got[0], "dropped") {
		got[0], got[1] = got[1], got[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines about events (-want +got):\n%s", diff)
	}
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	all  []string
	seen chan string
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(line))
	l.seen <- string(line)
	return len(line), nil
}

// await waits for a line with a text, whether it has come already or not.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		found := strings.Contains(strings.Join(l.all, ""), text)
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-l.seen:
		case <-timeout.C:
			t.Fatalf("no line with %q within %s", text, patience)
		}
	}
}
