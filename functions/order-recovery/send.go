package function

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

const (
	// parallel is how many events of a topic are sent at the same time, and how
	// many must fail one after the other for its sink to be taken for down.
	parallel = 16
	// batchFor is how long a topic may take for its events of a batch, lest a slow
	// one hold up the others.
	batchFor = 4 * time.Second
)

// Why an event wasn't tried.
var (
	errTimeUp = errors.New("the time for this sweep is up")
	errDown   = errors.New("the sink takes no events")
)

// publisher sends an event to the sink of its name.
type publisher interface {
	Publish(ctx context.Context, e orderlog.Entry) error
}

// sending are the events of one order to be sent again.
type sending struct {
	order      uuid.UUID
	deliveries []delivery
	// age is that of the oldest event.
	age time.Duration
	// resends is how often it was tried before, after when it is due next: the
	// one tells what to give back, the other whether it is still there to be.
	resends int32
	after   time.Time
}

// delivery is one event, and what became of it.
type delivery struct {
	entry orderlog.Entry
	// invalid says that no sink was asked.
	invalid bool
	err     error
}

// sent counts the events that were sent, and tells why another could not be.
func (s sending) sent() (sent int, err error) {
	for _, d := range s.deliveries {
		switch {
		case d.err == nil:
			sent++
		case !errors.Is(d.err, errTimeUp) && !errors.Is(d.err, errDown):
			err = d.err
		}
	}
	return sent, err
}

func (s sending) outcome(known topics) Outcome {
	worst := OutOfTime
	for _, d := range s.deliveries {
		worst = max(worst, d.outcome(known))
	}
	return worst
}

func (d delivery) outcome(known topics) Outcome {
	switch {
	case d.err == nil || d.invalid:
		return Counted
	case errors.Is(d.err, errTimeUp):
		return OutOfTime
	case errors.Is(d.err, errDown):
		return Skipped
	case known[events.TopicOf(d.entry.Name)].takesOthers():
		return Counted
	default:
		return Unanswered
	}
}

// topics is what a sweep has learned about the sinks, by their names.
type topics map[string]*topic

type topic struct {
	// up says that the sink took an event, failed how many it refused since.
	up     bool
	failed int
	// closed is why it is left alone for the rest of the sweep.
	closed error
}

func (t *topic) takesOthers() bool { return t.up && !errors.Is(t.closed, errDown) }

// open lists the statuses of the orders that wait for topics that aren't closed.
func (t topics) open() []string {
	statuses := []string{}
	for _, status := range events.Statuses() {
		if known := t[eventOf(status)]; known == nil || known.closed == nil {
			statuses = append(statuses, string(status))
		}
	}
	return statuses
}

// send sends what was claimed, all topics beside each other, and notes what
// became of it. Nothing is begun after limited has ended, but what was begun is
// waited for: an event given back after the sink took it would be sent twice.
func (s *sweeper) send(ctx, limited context.Context, known topics, sendings []sending) {
	limited, cancel := context.WithTimeout(limited, batchFor)
	defer cancel()
	var group sync.WaitGroup
	for name, queue := range queues(sendings) {
		to := known[name]
		if to == nil {
			to = &topic{}
			known[name] = to
		}
		group.Go(func() { s.sendTo(ctx, limited, to, queue) })
	}
	group.Wait()
}

// queues sorts events by topic. Those that are none for any sink say nothing
// about theirs.
func queues(sendings []sending) map[string][]*delivery {
	byTopic := map[string][]*delivery{}
	for i := range sendings {
		for j := range sendings[i].deliveries {
			d := &sendings[i].deliveries[j]
			if _, d.err = d.entry.CloudEvent(); d.err != nil {
				d.invalid = true
				continue
			}
			topic := events.TopicOf(d.entry.Name)
			byTopic[topic] = append(byTopic[topic], d)
		}
	}
	return byTopic
}

func (s *sweeper) sendTo(ctx, limited context.Context, to *topic, queue []*delivery) {
	for len(queue) > 0 && to.closed == nil {
		if limited.Err() != nil {
			to.closed = errTimeUp
			break
		}
		// Never more than are still needed to know that it is down.
		some := queue[:min(len(queue), parallel-to.failed)]
		var group sync.WaitGroup
		for _, d := range some {
			group.Go(func() { d.err = s.publisher.Publish(ctx, d.entry) })
		}
		group.Wait()
		to.learn(some)
		queue = queue[len(some):]
	}
	for _, d := range queue {
		d.err = to.closed
	}
}

// learn takes note of some attempts. Where one got through, the others failed
// for reasons of their own.
func (t *topic) learn(tried []*delivery) {
	t.failed += len(tried)
	for _, d := range tried {
		if d.err == nil {
			t.up, t.failed = true, 0
		}
	}
	if t.failed >= parallel {
		t.closed = errDown
	}
}
