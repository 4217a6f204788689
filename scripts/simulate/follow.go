package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// outcome is how the orders ended.
type outcome struct {
	latencies []time.Duration // from placed to shipped, by the database's clock
	cancelled map[string]int  // by reason
	lastAt    time.Time       // when the last of them came to its end
	firstAt   time.Time       // when the first of them was placed
}

func (o outcome) cancelledTotal() int {
	total := 0
	for _, n := range o.cancelled {
		total += n
	}
	return total
}

// ended is an order that has come to its end.
type ended struct {
	ID       uuid.UUID
	Reason   *string
	PlacedAt time.Time
	EndedAt  time.Time
}

const findEnded = `
select o.id, o.cancel_reason, o.placed_at, e.occurred_at
from unnest($1::uuid[]) as asked (id)
join orders o on o.id = asked.id and o.status in ('shipped', 'cancelled')
join order_events e on e.order_id = o.id and e.name = 'order-' || o.status`

// follow waits until every order has come to its end, or the wait is over. It
// asks the database and not the shop, so as not to be the load that it measures.
func follow(ctx context.Context, pool *pgxpool.Pool, orders []uuid.UUID, wait time.Duration) (outcome, error) {
	ends := outcome{cancelled: map[string]int{}}
	open := make(map[uuid.UUID]bool, len(orders))
	for _, id := range orders {
		open[id] = true
	}
	bar := newBar(len(orders), "ending ")
	deadline := time.Now().Add(wait)
	for len(open) > 0 && time.Now().Before(deadline) {
		found, err := collect(ctx, pool, open)
		if err != nil && ctx.Err() != nil {
			return ends, fmt.Errorf("follow orders: %w", ctx.Err())
		}
		for _, one := range found { // none, while the database is away
			delete(open, one.ID)
			ends.add(one)
		}
		_ = bar.Add(len(found))
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
	return ends, nil
}

// batch bounds one question to the database.
const batch = 5000

func collect(ctx context.Context, pool *pgxpool.Pool, open map[uuid.UUID]bool) ([]ended, error) {
	ids := make([]uuid.UUID, 0, batch)
	for id := range open {
		if ids = append(ids, id); len(ids) == batch {
			break
		}
	}
	rows, err := pool.Query(ctx, findEnded, ids)
	if err != nil {
		return nil, fmt.Errorf("follow orders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ended])
}

func (o *outcome) add(one ended) {
	if o.firstAt.IsZero() || one.PlacedAt.Before(o.firstAt) {
		o.firstAt = one.PlacedAt
	}
	if one.EndedAt.After(o.lastAt) {
		o.lastAt = one.EndedAt
	}
	if one.Reason != nil {
		o.cancelled[*one.Reason]++
		return
	}
	o.latencies = append(o.latencies, one.EndedAt.Sub(one.PlacedAt))
}
