package function

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/functions/order-recovery/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

const (
	// sweepFor is after how long a sweep begins nothing more: what is left is the
	// next sweep's. Sends on their way, which the sink's client bounds by 5 s, and
	// giving back the others keep it below 20 s.
	sweepFor = 12 * time.Second
	// giveBackFor bounds giving back attempts that failed.
	giveBackFor = 2 * time.Second
	// batchSize is how many orders are looked at in one transaction.
	batchSize = 500
	// parallel is how many orders' events are sent at the same time.
	parallel = 16
)

// errTimeUp says that an event is left to the next sweep.
var errTimeUp = errors.New("the time for this sweep is up")

// publisher sends an event to the sink of its name.
type publisher interface {
	Publish(ctx context.Context, e orderlog.Entry) error
}

// sweeper makes sweeps. Any number may run at the same time, in one process or
// in many.
type sweeper struct {
	pool      *pgxpool.Pool
	publisher publisher
	policy    Policy
}

// Report is what a sweep has done, in numbers of orders.
type Report struct {
	// Settled are done with for good.
	Settled int `json:"settled"`
	// Resent got their events sent again, Events in all.
	Resent int `json:"resent"`
	Events int `json:"events"`
	// Failed are those where that went wrong; the next sweep tries again.
	Failed int `json:"failed"`
	// GivenUp are those whose events became dead letters.
	GivenUp int `json:"given_up"`
	// Postponed are not due yet.
	Postponed int `json:"postponed"`
	// Complete says that all orders were looked at within the time for a sweep.
	Complete bool `json:"complete"`
	// cause is one of the reasons for Failed.
	cause error
}

// sweep looks once at every order that isn't settled, oldest first, until the
// time is up or the sink is found to be down.
func (s *sweeper) sweep(ctx context.Context) (Report, error) {
	limited, cancel := context.WithTimeout(ctx, sweepFor)
	defer cancel()
	var done Report
	var last uuid.UUID
	for {
		claimed, err := s.claim(limited, last)
		switch {
		case err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded):
			return done, nil // the time is up; the batch was rolled back
		case err != nil:
			return done, err
		}
		s.send(ctx, limited, claimed.sendings)
		done.add(claimed)
		if err := s.giveBack(ctx, claimed.failed()); err != nil {
			return done, err
		}
		if done.Complete || claimed.sinkIsDown() {
			return done, nil
		}
		last = claimed.last
	}
}

func (r *Report) add(b batch) {
	r.Settled += len(b.settled)
	r.GivenUp += b.givenUp
	r.Postponed += b.postponed
	r.Complete = b.size < batchSize
	for _, one := range b.sendings {
		switch {
		case errors.Is(one.err, errTimeUp):
			r.Postponed++
		case one.err != nil:
			r.Failed++
			r.cause = one.err
		default:
			r.Resent++
			r.Events += len(one.entries)
		}
	}
}

// sending are the events of one order to be sent again, and what became of it.
type sending struct {
	order   uuid.UUID
	entries []orderlog.Entry
	err     error
}

// send sends what was claimed, many orders at a time, and notes in each what
// went wrong. Nothing is begun after limited has ended, but what was begun is
// waited for: an event given back after the sink took it would be sent twice.
func (s *sweeper) send(ctx, limited context.Context, sendings []sending) {
	var group sync.WaitGroup
	free := make(chan struct{}, parallel)
	for i := range sendings {
		free <- struct{}{}
		if limited.Err() != nil {
			<-free
			sendings[i].err = errTimeUp
			continue
		}
		group.Go(func() {
			defer func() { <-free }()
			sendings[i].err = s.publish(ctx, sendings[i].entries)
		})
	}
	group.Wait()
}

func (s *sweeper) publish(ctx context.Context, entries []orderlog.Entry) error {
	for _, entry := range entries {
		if err := s.publisher.Publish(ctx, entry); err != nil {
			return err
		}
	}
	return nil
}

// giveBack makes attempts that failed count for nothing. Otherwise an hour
// without Kafka would use up the attempts of every order.
func (s *sweeper) giveBack(ctx context.Context, orders []uuid.UUID) error {
	if len(orders) == 0 {
		return nil
	}
	// The sweep's time may be up, and that is why it failed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackFor)
	defer cancel()
	if err := store.New(s.pool).GiveBack(ctx, orders); err != nil {
		return fmt.Errorf("give back attempts: %w", err)
	}
	return nil
}
