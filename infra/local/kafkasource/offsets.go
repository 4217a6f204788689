package kafkasource

import (
	"cmp"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

type partition struct {
	topic string
	id    int32
}

// offsets knows which records of the assigned partitions are finished, and so
// up to where each partition can be committed.
type offsets struct {
	mu      sync.Mutex
	windows map[partition]*window
}

// window is one partition's records from the first unfinished one on. Once its
// partition is revoked it is cut loose: what finishes then is not committed.
type window struct {
	pending   []pending
	next      int64 // what to commit: one behind the finished prefix
	committed int64
	last      int64 // the newest record; an older one means that Kafka began anew
}

type pending struct {
	offset   int64
	finished bool
}

// begin notes that a record is under way, before anybody can finish it.
func (o *offsets) begin(record *kgo.Record) *window {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := partition{record.Topic, record.Partition}
	w := o.windows[p]
	if w == nil || record.Offset <= w.last {
		w = &window{next: record.Offset, committed: record.Offset}
		o.windows[p] = w
	}
	w.pending = append(w.pending, pending{offset: record.Offset})
	w.last = record.Offset
	return w
}

// finish notes that a record is done with.
func (o *offsets) finish(w *window, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, found := slices.BinarySearchFunc(w.pending, offset, func(p pending, offset int64) int {
		return cmp.Compare(p.offset, offset)
	})
	if !found {
		return
	}
	w.pending[i].finished = true
	done := 0
	for done < len(w.pending) && w.pending[done].finished {
		done++
	}
	if done == 0 {
		return
	}
	w.next = w.pending[done-1].offset + 1
	w.pending = w.pending[done:]
}

// commitable is what can be committed and is not.
func (o *offsets) commitable() map[string]map[int32]kgo.EpochOffset {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := map[string]map[int32]kgo.EpochOffset{}
	for p, w := range o.windows {
		if w.next == w.committed {
			continue
		}
		if found[p.topic] == nil {
			found[p.topic] = map[int32]kgo.EpochOffset{}
		}
		found[p.topic][p.id] = kgo.EpochOffset{Epoch: -1, Offset: w.next}
	}
	return found
}

// commit notes that these offsets are committed.
func (o *offsets) commit(committed map[string]map[int32]kgo.EpochOffset) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, partitions := range committed {
		for id, at := range partitions {
			if w := o.windows[partition{topic, id}]; w != nil {
				w.committed = at.Offset
			}
		}
	}
}

// drop forgets partitions that belong to somebody else now.
func (o *offsets) drop(revoked map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, ids := range revoked {
		for _, id := range ids {
			delete(o.windows, partition{topic, id})
		}
	}
}
