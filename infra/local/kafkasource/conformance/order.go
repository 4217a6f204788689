package conformance

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// stuck holds the events whose data is "stuck" until release is closed.
func stuck(t *testing.T, target Target) (sink *receiver, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	return receive(t, target, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Subject") != "stuck" {
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}), release
}

// testOrdered has one partition stuck, which holds no other that the source has
// had records of.
func testOrdered(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(2)
	sink, release := stuck(t, target)
	s := source(target, sink, topic)
	s.Ordering = kafkasource.Ordered
	target.Apply(t, s)
	known := event(topic, "known", "x")
	known.Partition = 1
	k.produce(known)
	if got := sink.next().id(); got != "known" {
		t.Fatalf("first request = %q", got)
	}

	first := event(topic, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first)
	const behind = 250 // more than a dispatcher keeps in memory
	for i := range behind {
		k.produce(event(topic, "behind-"+strconv.Itoa(i), "x"))
	}
	if got := sink.next().id(); got != "first" {
		t.Fatalf("second request = %q", got)
	}
	const others = 120
	for i := range others {
		other := event(topic, "other-"+strconv.Itoa(i), "x")
		other.Partition = 1
		k.produce(other)
	}
	for i := range others {
		if got, want := sink.next().id(), "other-"+strconv.Itoa(i); got != want {
			t.Fatalf("request %d = %q, want %q", i, got, want)
		}
	}
	sink.wantNone()
	close(release)
	for i := range behind {
		if got, want := sink.next().id(), "behind-"+strconv.Itoa(i); got != want {
			t.Fatalf("after the release, request %d = %q, want %q", i, got, want)
		}
	}
	k.awaitCommit(s.ConsumerGroup, topic, 2+behind+others)
}

// testUnordered has one event stuck, which holds nothing but the commit.
func testUnordered(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink, release := stuck(t, target)
	s := source(target, sink, topic)
	target.Apply(t, s)

	first := event(topic, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first)
	if got := sink.next().id(); got != "first" {
		t.Fatalf("first request = %q", got)
	}
	const others = 200
	want := map[string]int{}
	for i := range others {
		id := "other-" + strconv.Itoa(i)
		k.produce(event(topic, id, "x"))
		want[id] = 1
	}
	if diff := cmp.Diff(want, sink.nextIDs(others)); diff != "" {
		t.Errorf("delivered beside the stuck one (-want +got):\n%s", diff)
	}
	offsets, err := k.admin.FetchOffsets(t.Context(), s.ConsumerGroup)
	if err != nil {
		t.Fatalf("fetch offsets: %v", err)
	}
	if at, found := offsets.Lookup(topic, 0); found && at.At > 0 {
		t.Errorf("committed %d while the first event is under way", at.At)
	}
	close(release)
	k.awaitCommit(s.ConsumerGroup, topic, 1+others)
}

// testOrderedRetries has an event that is refused in the end: whatever is behind
// it in its partition waits until then.
func testOrderedRetries(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "bad" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Ordering = kafkasource.Ordered
	s.Delivery = retrying(3, dead)
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"), event(topic, "good", "x"))
	for i, want := range []string{"bad", "bad", "bad", "bad", "good"} {
		if got := sink.next().id(); got != want {
			t.Fatalf("request %d = %q, want %q", i, got, want)
		}
	}
	// The letter had been taken before the next event was sent.
	if len(dead.requests) != 1 {
		t.Errorf("%d dead letters, want 1", len(dead.requests))
	}
}

// testInFlight holds everything: an unordered source then has fifty under way,
// and up to forty-nine more of its last poll.
func testInFlight(t *testing.T, target Target) {
	const least, most, all = 50, 99, 300
	k := connect(t, target)
	topic := k.topic(1)
	var running, highest atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	sink := receive(t, target, func(_ http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for old := highest.Load(); now > old && !highest.CompareAndSwap(old, now); old = highest.Load() {
		}
		if now == least {
			close(full)
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	s := source(target, sink, topic)
	records := make([]*kgo.Record, all)
	for i := range records {
		records[i] = event(topic, strconv.Itoa(i), "x")
	}
	k.produce(records...)
	target.Apply(t, s)
	select {
	case <-full:
	case <-time.After(target.Patience):
		t.Fatalf("%d requests under way, want at least %d", highest.Load(), least)
	}
	close(release)
	k.awaitCommit(s.ConsumerGroup, topic, all)
	if highest.Load() > most {
		t.Errorf("%d requests at once, want at most %d", highest.Load(), most)
	}
}

// testUnorderedRetries has an event that is tried again for long: it holds
// nothing but the commit.
func testUnorderedRetries(t *testing.T, target Target) {
	const others = 20
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "bad" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := source(target, sink, topic)
	hour := time.Hour
	s.Delivery = &kafkasource.Delivery{Retry: 1, BackoffDelay: &hour}
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"))
	want := map[string]int{"bad": 1}
	for i := range others {
		id := strconv.Itoa(i)
		k.produce(event(topic, id, "x"))
		want[id] = 1
	}
	if diff := cmp.Diff(want, sink.nextIDs(1+others)); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// testAllBehind has the only partition stuck that has had records: a source asks
// for more when it has none left to send of some partition, so a partition that is
// new to it waits until then.
func testAllBehind(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(2)
	sink, release := stuck(t, target)
	s := source(target, sink, topic)
	s.Ordering = kafkasource.Ordered
	first := event(topic, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first, event(topic, "behind-0", "x"), event(topic, "behind-1", "x"))
	target.Apply(t, s)
	if got := sink.next().id(); got != "first" {
		t.Fatalf("first request = %q", got)
	}
	fresh := event(topic, "fresh", "x")
	fresh.Partition = 1
	k.produce(fresh)
	// Another source, which nothing holds, has it long before this one.
	witness := receive(t, target, nil)
	other := source(target, witness, topic)
	other.Ordering = kafkasource.Ordered
	target.Apply(t, other)
	witness.nextIDs(4)
	sink.wantNone()
	close(release)
	if got := sink.next().id(); got != "behind-0" {
		t.Errorf("after the release came %q, want behind-0", got)
	}
	// With the last one on its way, more is asked for: these two may overtake.
	if diff := cmp.Diff(map[string]int{"behind-1": 1, "fresh": 1}, sink.nextIDs(2)); diff != "" {
		t.Errorf("delivered then (-want +got):\n%s", diff)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 4)
}

// testTwoTopicsOrdered has partition 0 of one topic stuck, which is another than
// that of the other topic.
func testTwoTopicsOrdered(t *testing.T, target Target) {
	k := connect(t, target)
	one, two := k.topic(1), k.topic(1)
	sink, release := stuck(t, target)
	s := source(target, sink, one, two)
	s.Ordering = "" // ordered
	target.Apply(t, s)
	k.produce(event(two, "known", "x"))
	if got := sink.next().id(); got != "known" {
		t.Fatalf("first request = %q", got)
	}
	first := event(one, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first, event(one, "behind", "x"))
	if got := sink.next().id(); got != "first" {
		t.Fatalf("second request = %q", got)
	}
	k.produce(event(two, "beside", "x"))
	if got := sink.next().id(); got != "beside" {
		t.Errorf("next request = %q, want that of the other topic", got)
	}
	close(release)
	if got := sink.next().id(); got != "behind" {
		t.Errorf("last request = %q", got)
	}
}
