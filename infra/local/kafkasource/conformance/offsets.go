package conformance

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

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
	for name, initial := range map[string]kafkasource.InitialOffset{"stated": kafkasource.Latest, "by default": ""} {
		target.sub(t, name, func(t *testing.T) {
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
				t.Errorf("first event = %q, want new", got)
			}
		})
	}
}

// testKnownGroup has a group that has committed: where a source would like to
// begin doesn't count then.
func testKnownGroup(t *testing.T, target Target) {
	for _, initial := range []kafkasource.InitialOffset{kafkasource.Earliest, kafkasource.Latest} {
		target.sub(t, string(initial), func(t *testing.T) {
			k := connect(t, target)
			topic := k.topic(1)
			k.produce(event(topic, "0", "x"), event(topic, "1", "x"), event(topic, "2", "x"))
			sink := receive(t, target, nil)
			s := source(target, sink, topic)
			s.InitialOffset = initial
			k.commit(s.ConsumerGroup, topic, 1)
			target.Apply(t, s)
			if diff := cmp.Diff(map[string]int{"1": 1, "2": 1}, sink.nextIDs(2)); diff != "" {
				t.Errorf("delivered (-want +got):\n%s", diff)
			}
		})
	}
}

// testTwoGroups has two sources on one topic, each of which gets all of it.
func testTwoGroups(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(2)
	one, two := receive(t, target, nil), receive(t, target, nil)
	target.Apply(t, source(target, one, topic))
	target.Apply(t, source(target, two, topic))
	k.produce(event(topic, "1", "x"), event(topic, "2", "x"))
	for _, sink := range []*receiver{one, two} {
		if diff := cmp.Diff(map[string]int{"1": 1, "2": 1}, sink.nextIDs(2)); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	}
}

// testSameID has the same event in two records: nobody looks at ids.
func testSameID(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, nil)
	s := source(target, sink, topic)
	target.Apply(t, s)
	k.produce(event(topic, "twin", "x"), event(topic, "twin", "x"))
	if diff := cmp.Diff(map[string]int{"twin": 2}, sink.nextIDs(2)); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 2)
}

// testTransactions has a transaction that is aborted, and one that isn't: only
// what was committed is delivered, and the commit gets past the marks.
func testTransactions(t *testing.T, target Target) {
	k := connect(t, target, kgo.TransactionalID("conformance-"+uuid.NewString()))
	topic := k.topic(1)
	sink := receive(t, target, nil)
	s := source(target, sink, topic)
	target.Apply(t, s)
	k.transaction(event(topic, "undone", "x"), kgo.TryAbort)
	k.transaction(event(topic, "done", "x"), kgo.TryCommit)
	k.transaction(event(topic, "done too", "x"), kgo.TryCommit)
	if diff := cmp.Diff(map[string]int{"done": 1, "done too": 1}, sink.nextIDs(2)); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	// undone, its mark, done, its mark, done too.
	k.awaitCommitPast(s.ConsumerGroup, topic, 5)
	sink.wantNone()
}

// testPaused ends a source in an orderly way and applies it again: nothing is
// lost or repeated.
func testPaused(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, nil)
	s := source(target, sink, topic)
	var got []string
	for i, id := range []string{"1", "2", "3"} {
		applied := target.Apply(t, s)
		k.produce(event(topic, id, "x"))
		got = append(got, sink.next().id())
		applied.Pause()
		k.awaitCommit(s.ConsumerGroup, topic, int64(i)+1)
	}
	if want := []string{"1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("delivered %q, want %q", got, want)
	}
	sink.wantNone()
}

// testKilled kills what delivers while one event is under way and others, behind
// it, are done: all that isn't committed comes again.
func testKilled(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink, release := stuck(t, target)
	s := source(target, sink, topic)
	applied := target.Apply(t, s)
	first := event(topic, "first", "x")
	first.Headers = append(first.Headers, record("", "", "ce_subject: stuck").Headers...)
	k.produce(first, event(topic, "second", "x"), event(topic, "third", "x"))
	want := map[string]int{"first": 1, "second": 1, "third": 1}
	if diff := cmp.Diff(want, sink.nextIDs(3)); diff != "" {
		t.Fatalf("delivered (-want +got):\n%s", diff)
	}
	applied.Kill()
	close(release)
	if diff := cmp.Diff(want, sink.nextIDs(3)); diff != "" {
		t.Errorf("delivered after the kill (-want +got):\n%s", diff)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 3)
}

// testRebalance has a second source join the first one's group, and the first
// one leave: nothing is lost, and each has had some.
func testRebalance(t *testing.T, target Target) {
	const partitions, some = 4, 40
	k := connect(t, target)
	topic := k.topic(partitions)
	one, two := receive(t, target, nil), receive(t, target, nil)
	produced := 0
	produce := func() {
		t.Helper()
		for range some {
			r := event(topic, strconv.Itoa(produced), "x")
			r.Partition = int32(produced % partitions)
			k.produce(r)
			produced++
		}
	}
	first := source(target, one, topic)
	second := source(target, two, topic)
	second.ConsumerGroup = first.ConsumerGroup
	second.Name = "source-" + uuid.NewString()[:8]

	leaving := target.Apply(t, first)
	produce()
	k.awaitCommit(first.ConsumerGroup, topic, int64(produced))
	target.Apply(t, second)
	k.awaitMembers(first.ConsumerGroup, 2)
	produce()
	k.awaitCommit(first.ConsumerGroup, topic, int64(produced))
	shared := len(two.requests)
	leaving.Pause()
	produce()
	k.awaitCommit(first.ConsumerGroup, topic, int64(produced))

	seen := map[string]bool{}
	for _, id := range slices.Concat(one.ids(), two.ids()) {
		seen[id] = true
	}
	if len(seen) != produced {
		t.Errorf("%d of %d events were delivered", len(seen), produced)
	}
	if shared == 0 {
		t.Error("the second had no events while both were there")
	}
}
