package function

import (
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
)

// Policy says how long is too long, and how often to try.
type Policy struct {
	// Unpublished is how long an event may wait for its sink.
	Unpublished time.Duration
	// Unhandled is how long an event that its sink has may go unhandled, which is
	// longer than its KafkaSource tries by itself.
	Unhandled time.Duration
	// MaxBackoff is the longest time between two attempts.
	MaxBackoff time.Duration
	// MaxResends is after how many attempts people have to look.
	MaxResends int
	// Outage is up to what age an event's attempts count for nothing while its
	// sink takes no event at all.
	Outage time.Duration
	// MaxRetry is the longest time between two such attempts.
	MaxRetry time.Duration
}

// Order is one that isn't settled.
type Order struct {
	Status events.Status
	// Resends is how often this was tried since the order last moved.
	Resends int
	Pending []Pending
}

// Pending is an event that somebody may not have got.
type Pending struct {
	Name string
	// Unpublished says that the sink isn't known to have accepted it.
	Unpublished bool
	// Waiting are the functions that read the event and haven't handled it.
	Waiting []string
	Age     time.Duration
}

// Action is what to do about an order.
type Action int

// The actions.
const (
	// Settle says that nothing will ever follow.
	Settle Action = iota
	// Postpone says that it is too early, or too late, to do anything.
	Postpone
	// Send says to send the events that are due.
	Send
	// GiveUp says to make the events that are due dead letters, so that people
	// learn of them.
	GiveUp
)

// Decision is what to do about an order, about which of its events, and how
// long to leave it alone afterwards.
type Decision struct {
	Action  Action
	Due     []string
	Resends int
	Next    time.Duration
}

// Decide says what to do about an order.
func (p Policy) Decide(order Order) Decision {
	if len(order.Pending) == 0 && order.Status.Final() {
		return Decision{Action: Settle}
	}
	due, next := p.due(order)
	switch {
	case len(due) == 0:
		return Decision{Action: Postpone, Resends: order.Resends, Next: min(next, p.MaxBackoff)}
	case order.Resends < p.MaxResends:
		return Decision{Action: Send, Due: due, Resends: order.Resends + 1, Next: p.backoff(next, order.Resends)}
	case order.Resends == p.MaxResends:
		return Decision{Action: GiveUp, Due: due, Resends: order.Resends + 1, Next: p.MaxBackoff}
	default:
		// People know of it. Once they have mended what was wrong it goes on by
		// itself, however many orders there are.
		return Decision{Action: Send, Due: due, Resends: order.Resends, Next: p.MaxBackoff}
	}
}

// due lists the events that have waited long enough, with the patience that they
// are due another time; where there are none, it says how long it is until there
// is one.
func (p Policy) due(order Order) (due []string, next time.Duration) {
	wait, left := p.MaxBackoff, p.MaxBackoff
	for _, event := range order.Pending {
		if rest := p.patience(event) - event.Age; rest > 0 {
			left = min(left, rest)
			continue
		}
		due, wait = append(due, event.Name), min(wait, p.patience(event))
	}
	if len(due) > 0 {
		return due, wait
	}
	return nil, left
}

func (p Policy) patience(event Pending) time.Duration {
	if event.Unpublished {
		return p.Unpublished
	}
	return p.Unhandled
}

// backoff doubles with every attempt.
func (p Policy) backoff(wait time.Duration, resends int) time.Duration {
	for range resends {
		if wait >= p.MaxBackoff {
			break
		}
		wait *= 2
	}
	return min(wait, p.MaxBackoff)
}

// Outcome is what became of an attempt. Where an order's events came to
// different ends, the greatest is the order's.
type Outcome int

// The outcomes.
const (
	// OutOfTime says that nothing was begun.
	OutOfTime Outcome = iota
	// Skipped says that the sink was found to be down by the events of others.
	Skipped
	// Unanswered says that the sink took neither this event nor any other.
	Unanswered
	// Counted says that something was sent, or can't be for a reason of its own.
	Counted
)

// GiveBack tells whether an attempt counts for nothing, and how long to leave
// the order alone then. Who was tried waits as long again as the event is old,
// and so makes way for those who weren't.
func (p Policy) GiveBack(outcome Outcome, age time.Duration) (wait time.Duration, back bool) {
	switch {
	case outcome == Counted || (outcome != OutOfTime && age >= p.Outage):
		return 0, false
	case outcome == Unanswered:
		return min(age, p.MaxRetry), true
	default:
		return 0, true
	}
}

// eventOf names the event that leaves an order in a status.
func eventOf(status events.Status) string {
	for _, event := range events.Catalog() {
		if event.Status == status {
			return event.Name
		}
	}
	return ""
}

// cause says in words why an event became a dead letter.
func cause(order Order, event Pending) string {
	switch {
	case len(event.Waiting) > 0:
		return "not handled by " + strings.Join(event.Waiting, ", ")
	case event.Unpublished:
		return "not known to be accepted by its sink"
	default:
		return "handled by all who read it, but the order is still " + string(order.Status)
	}
}
