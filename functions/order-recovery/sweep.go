package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-recovery/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

const (
	// sweepFor is after how long a sweep begins nothing more: what is left is the
	// next sweep's. Sends on their way, which the sink's client bounds by 5 s, and
	// giving back the others keep it below 20 s.
	sweepFor = 12 * time.Second
	// settleFor is how much of it may go into settling.
	settleFor = 5 * time.Second
	// giveBackFor bounds giving back attempts that failed.
	giveBackFor = 2 * time.Second
	// batchSize is how many orders are looked at in one transaction.
	batchSize = 500
)

// sweeper makes sweeps. Any number may run at the same time, in one process or
// in many.
type sweeper struct {
	pool      postgres.Pool
	publisher publisher
	policy    Policy
}

// Report is what a sweep has done, in numbers of orders.
type Report struct {
	// Settled are done with for good.
	Settled int `json:"settled"`
	// Resent got all their events sent again. Events were sent in all.
	Resent int `json:"resent"`
	Events int `json:"events"`
	// Failed are those where that went wrong; they are tried again.
	Failed int `json:"failed"`
	// GivenUp are those whose events became dead letters.
	GivenUp int `json:"given_up"`
	// Postponed are not due yet, or left to the next sweep.
	Postponed int `json:"postponed"`
	// Complete says that all orders were looked at, and no topic was left alone.
	Complete bool `json:"complete"`
	// cause is one of the reasons for Failed.
	cause error
}

// sweep looks once at every order that isn't settled, oldest first, until the
// time is up.
func (s *sweeper) sweep(ctx context.Context) (Report, error) {
	limited, cancel := context.WithTimeoutCause(ctx, sweepFor, errTimeUp)
	defer cancel()
	var done Report
	err := s.settle(limited, &done)
	if err == nil {
		err = s.resend(ctx, limited, &done)
	}
	return done, err
}

// settle settles what is done with. It comes first and by itself: it must not
// wait for sinks.
func (s *sweeper) settle(ctx context.Context, done *Report) error {
	limited, cancel := context.WithTimeoutCause(ctx, settleFor, errTimeUp)
	defer cancel()
	final := scope{settle: true}
	for _, status := range events.Statuses() {
		if status.Final() {
			final.statuses = append(final.statuses, string(status))
		}
	}
	for claimed := (batch{size: batchSize}); claimed.size == batchSize; {
		var err error
		if claimed, err = s.claim(limited, final, claimed.last); err != nil {
			return unlessTimeUp(limited, err)
		}
		done.Settled += len(claimed.settled)
	}
	return nil
}

// resend sends what is due, topic by topic, until the time is up or no topic is
// left.
func (s *sweeper) resend(ctx, limited context.Context, done *Report) error {
	known := topics{}
	for claimed := (batch{size: batchSize}); claimed.size == batchSize; {
		var err error
		if claimed, err = s.claim(limited, scope{statuses: known.open()}, claimed.last); err != nil {
			return unlessTimeUp(limited, err)
		}
		s.send(ctx, limited, known, claimed.sendings)
		done.add(claimed)
		if err := s.giveBack(ctx, known, claimed.sendings); err != nil {
			return err
		}
	}
	done.Complete = len(known.open()) == len(events.Statuses())
	return nil
}

// unlessTimeUp is nil where an error is only that the time is up: the batch was
// rolled back, and is the next sweep's.
func unlessTimeUp(limited context.Context, err error) error {
	if errors.Is(context.Cause(limited), errTimeUp) {
		return nil
	}
	return err
}

func (r *Report) add(b batch) {
	r.Settled += len(b.settled)
	r.GivenUp += b.givenUp
	r.Postponed += b.postponed
	for _, one := range b.sendings {
		sent, err := one.sent()
		r.Events += sent
		switch {
		case sent == len(one.deliveries):
			r.Resent++
		case err != nil:
			r.Failed++
			r.cause = err
		default:
			r.Postponed++
		}
	}
}

// giveBack makes attempts count for nothing that their orders have no part in.
// Otherwise an hour without Kafka would use up the attempts of every order.
func (s *sweeper) giveBack(ctx context.Context, known topics, sendings []sending) error {
	var back store.GiveBackParams
	for _, one := range sendings {
		wait, ok := s.policy.GiveBack(one.outcome(known), one.age)
		if !ok {
			continue
		}
		back.Ids, back.Resends = append(back.Ids, one.order), append(back.Resends, one.resends)
		back.Afters, back.Seconds = append(back.Afters, one.after), append(back.Seconds, wait.Seconds())
	}
	if len(back.Ids) == 0 {
		return nil
	}
	// The sweep's time may be up, and that is why it failed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackFor)
	defer cancel()
	if err := store.New(s.pool).GiveBack(ctx, back); err != nil {
		return fmt.Errorf("give back attempts: %w", err)
	}
	return nil
}
