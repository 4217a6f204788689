package conformance

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// testOrdered has one partition stuck, which holds no other.
func testOrdered(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(2)
	sink, release := stuck(t, target)
	s := source(target, sink, topic)
	s.Ordering = kafkasource.Ordered
	target.Apply(t, s)

	first := event(topic, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first)
	const behind = 250 // more than a dispatcher keeps in memory
	for i := range behind {
		k.produce(event(topic, "behind-"+strconv.Itoa(i), "x"))
	}
	if got := sink.next().id(); got != "first" {
		t.Fatalf("first request = %q", got)
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
	k.awaitCommit(s.ConsumerGroup, topic, 1+behind+others)
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

// testTopics has several topics in one source.
func testTopics(t *testing.T, target Target) {
	k := connect(t, target)
	one, two := k.topic(1), k.topic(3)
	sink := receive(t, target, nil)
	target.Apply(t, source(target, sink, one, two))
	k.produce(event(one, "1", "x"), event(two, "2", "x"))
	if diff := cmp.Diff(map[string]int{"1": 1, "2": 1}, sink.nextIDs(2)); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// testLatest begins behind what is there already.
func testLatest(t *testing.T, target Target) {
	for _, initial := range []kafkasource.InitialOffset{kafkasource.Latest, ""} {
		k := connect(t, target)
		topic := k.topic(1)
		k.produce(event(topic, "old", "x"), event(topic, "older", "x"))
		sink := receive(t, target, nil)
		s := source(target, sink, topic)
		s.InitialOffset = initial
		target.Apply(t, s)
		k.awaitCommit(s.ConsumerGroup, topic, 2)
		k.produce(event(topic, "new", "x"))
		if got := sink.next().id(); got != "new" {
			t.Errorf("initialOffset %q: first event = %q, want new", initial, got)
		}
	}
}

// testRestart stops a source and applies it again: nothing is lost or repeated.
func testRestart(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, nil)
	s := source(target, sink, topic)
	var got []string
	for _, id := range []string{"1", "2", "3"} {
		stop := target.Apply(t, s)
		k.produce(event(topic, id, "x"))
		got = append(got, sink.next().id())
		stop()
	}
	if want := []string{"1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("delivered %q, want %q", got, want)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 3)
	sink.wantNone()
}
