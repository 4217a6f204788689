package kafkasource

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxInFlight is max.poll.records of Knative's consumers: an unordered source
// polls again while it has fewer events under way, so it has up to 99.
const maxInFlight = 50

// order decides when a record that was polled is delivered.
type order interface {
	// ready waits until more records are wanted.
	ready(ctx context.Context) error
	// add takes a record, and does not wait for its delivery.
	add(record *kgo.Record, finish *window)
	// drop forgets the waiting records of partitions that were revoked.
	drop(revoked map[string][]int32)
}

type deliverFunc func(*kgo.Record, *window)

// unordered delivers every record at once.
type unordered struct {
	deliver  deliverFunc
	running  *sync.WaitGroup
	inFlight atomic.Int64
	freed    chan struct{}
}

func newUnordered(deliver deliverFunc, running *sync.WaitGroup) *unordered {
	return &unordered{deliver: deliver, running: running, freed: make(chan struct{}, 1)}
}

func (u *unordered) ready(ctx context.Context) error {
	for u.inFlight.Load() >= maxInFlight {
		select {
		case <-u.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (u *unordered) add(record *kgo.Record, w *window) {
	u.inFlight.Add(1)
	u.running.Go(func() {
		u.deliver(record, w)
		u.inFlight.Add(-1)
		select {
		case u.freed <- struct{}{}:
		default:
		}
	})
}

func (u *unordered) drop(map[string][]int32) {}

// maxQueue is how many records of a partition wait in memory before the
// partition is no longer fetched.
const maxQueue = 100

// pauser is the part of a Kafka client that stops fetching a partition.
type pauser interface {
	PauseFetchPartitions(partitions map[string][]int32) map[string][]int32
	ResumeFetchPartitions(partitions map[string][]int32)
}

// ordered delivers the records of a partition one after the other.
type ordered struct {
	deliver deliverFunc
	running *sync.WaitGroup
	fetch   pauser // there before the first record is

	mu    sync.Mutex
	lanes map[partition]*lane
	freed chan struct{}
}

// lane is one partition while it is assigned.
type lane struct {
	waiting []waiting
	busy    bool
	paused  bool
}

type waiting struct {
	record *kgo.Record
	window *window
}

func newOrdered(deliver deliverFunc, running *sync.WaitGroup) *ordered {
	return &ordered{deliver: deliver, running: running, lanes: map[partition]*lane{}, freed: make(chan struct{}, 1)}
}

// ready waits until nothing waits in some lane. A partition that no record has
// come of since it was assigned has no lane, so it has to wait while all others
// are behind: that is how Knative's consumer decides to poll.
func (o *ordered) ready(ctx context.Context) error {
	for o.behind() {
		select {
		case <-o.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// behind says whether records wait in every lane there is.
func (o *ordered) behind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		if len(l.waiting) == 0 {
			return false
		}
	}
	return len(o.lanes) > 0
}

// free wakes whoever waits for a lane.
func (o *ordered) free() {
	select {
	case o.freed <- struct{}{}:
	default:
	}
}

func (o *ordered) add(record *kgo.Record, w *window) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := partition{record.Topic, record.Partition}
	l := o.lanes[p]
	if l == nil {
		l = &lane{}
		o.lanes[p] = l
	}
	l.waiting = append(l.waiting, waiting{record, w})
	if !l.busy {
		l.busy = true
		o.running.Go(func() { o.work(p, l) })
	}
	if len(l.waiting) >= maxQueue && !l.paused {
		l.paused = true
		o.fetch.PauseFetchPartitions(p.asMap())
	}
}

// work empties a lane and ends.
func (o *ordered) work(p partition, l *lane) {
	for {
		next, found := o.next(p, l)
		if !found {
			return
		}
		o.deliver(next.record, next.window)
	}
}

func (o *ordered) next(p partition, l *lane) (waiting, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(l.waiting) == 0 {
		l.busy = false
		return waiting{}, false
	}
	next := l.waiting[0]
	l.waiting = l.waiting[1:]
	if len(l.waiting) == 0 {
		o.free()
		if l.paused {
			l.paused = false
			o.fetch.ResumeFetchPartitions(p.asMap())
		}
	}
	return next, true
}

func (o *ordered) drop(revoked map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, ids := range revoked {
		for _, id := range ids {
			if l := o.lanes[partition{topic, id}]; l != nil {
				l.waiting = nil
			}
			delete(o.lanes, partition{topic, id})
		}
	}
	o.free()
}

func (p partition) asMap() map[string][]int32 {
	return map[string][]int32{p.topic: {p.id}}
}
