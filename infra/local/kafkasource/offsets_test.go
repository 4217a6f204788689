package kafkasource

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func records(o *offsets, at ...int64) *window {
	var w *window
	for _, offset := range at {
		w = o.begin(&kgo.Record{Topic: "t", Partition: 1, Offset: offset})
	}
	return w
}

// upTo is what would be committed; -1 is nothing.
func upTo(o *offsets) int64 {
	if at, found := o.commitable()["t"][1]; found {
		return at.Offset
	}
	return -1
}

func TestContiguousPrefix(t *testing.T) {
	t.Parallel()
	o := &offsets{windows: map[partition]*window{}}
	// 12 to 19 are gone: compaction, or the marks of a transaction.
	w := records(o, 10, 11, 20, 21)
	for _, step := range []struct{ finish, want int64 }{{20, -1}, {11, -1}, {10, 21}, {21, 22}, {21, 22}, {99, 22}} {
		o.finish(w, step.finish)
		if got := upTo(o); got != step.want {
			t.Errorf("finished %d: commit %d, want %d", step.finish, got, step.want)
		}
	}
	o.commit(o.commitable())
	if got := upTo(o); got != -1 {
		t.Errorf("after the commit: commit %d, want nothing", got)
	}
}

func TestRevokedIsNotCommitted(t *testing.T) {
	t.Parallel()
	o := &offsets{windows: map[partition]*window{}}
	old := records(o, 1, 2)
	o.drop(map[string][]int32{"t": {1}})
	o.finish(old, 1)
	if got := upTo(o); got != -1 {
		t.Errorf("revoked: commit %d, want nothing", got)
	}
	// The partition comes back, and so do its records.
	again := records(o, 1, 2)
	o.finish(old, 2)
	if got := upTo(o); got != -1 {
		t.Errorf("finished before it came back: commit %d, want nothing", got)
	}
	o.finish(again, 1)
	if got := upTo(o); got != 2 {
		t.Errorf("finished after it came back: commit %d, want 2", got)
	}
}

// TestTopicBegunAnew has offsets start again, as after a topic was made anew.
func TestTopicBegunAnew(t *testing.T) {
	t.Parallel()
	o := &offsets{windows: map[partition]*window{}}
	records(o, 100)
	w := records(o, 0, 1)
	o.finish(w, 0)
	if got := upTo(o); got != 1 {
		t.Errorf("commit %d, want 1", got)
	}
}
