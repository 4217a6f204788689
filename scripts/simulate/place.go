package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// placements are the orders that the shop has accepted.
type placements struct {
	orders    []uuid.UUID
	answers   []time.Duration // from when an order was due until the shop accepted it
	refused   int
	lastError error
	took      time.Duration
}

// place sends all customers in. At a given rate, an answer's time counts from
// when its order was due: a shop that is late for one is late for the next.
func place(ctx context.Context, s *shop, c *crowd, o options) placements {
	var mu sync.Mutex
	var placed placements
	bar := newBar(o.Orders, "placing")
	limit := rate.Inf
	if o.Rate > 0 {
		limit = rate.Limit(o.Rate)
	}
	limiter := rate.NewLimiter(limit, 1)
	group, start := errgroup.Group{}, time.Now()
	group.SetLimit(o.Concurrency)
	for n := range o.Orders {
		if limiter.Wait(ctx) != nil {
			break
		}
		due, b := time.Now(), c.next(n)
		group.Go(func() error {
			one, err := placeOne(ctx, s, b)
			mu.Lock()
			defer mu.Unlock()
			placed.add(one, err, time.Since(due))
			return bar.Add(1)
		})
	}
	_ = group.Wait() // only the bar can fail
	placed.took = time.Since(start)
	return placed
}

func (p *placements) add(one accepted, err error, took time.Duration) {
	if err != nil {
		p.refused, p.lastError = p.refused+1, err
		return
	}
	p.orders = append(p.orders, one.ID)
	p.answers = append(p.answers, took)
}

func placeOne(ctx context.Context, s *shop, b basket) (accepted, error) {
	one, err := s.order(ctx, b)
	if err != nil || !b.regretted {
		return one, err
	}
	// A cancellation that doesn't get through leaves an order that ships.
	_ = s.cancel(ctx, one)
	return one, nil
}

func newBar(total int, doing string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetDescription(doing), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("orders"),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionOnCompletion(func() { _, _ = os.Stderr.WriteString("\n") }),
		progressbar.OptionSetWidth(30))
}
