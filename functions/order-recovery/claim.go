package function

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-recovery/internal/store"
)

// batch is what was decided about some orders.
type batch struct {
	size      int
	last      uuid.UUID
	settled   []uuid.UUID
	schedule  store.ScheduleParams
	letters   store.AddDeadLettersParams
	sendings  []sending
	givenUp   int
	postponed int
}

// scope is which orders to look at, and what for.
type scope struct {
	statuses []string
	// settle says to settle those that are done with, and leave the others alone.
	settle bool
}

// claim decides about the orders in scope that come after last and writes the
// decisions down. Only then is anything sent: whoever dies in between has used
// up an attempt, and two sweeps never make the same one.
func (s *sweeper) claim(ctx context.Context, in scope, last uuid.UUID) (batch, error) {
	var b batch
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := store.New(tx)
		due, err := queries.LockDue(ctx, store.LockDueParams{
			Statuses: in.statuses, LastID: last, QuietSeconds: s.policy.Unpublished.Seconds(), Batch: batchSize,
		})
		if err != nil {
			return fmt.Errorf("lock due orders: %w", err)
		}
		pending, err := queries.ListPending(ctx, question(due))
		if err != nil {
			return fmt.Errorf("list pending events: %w", err)
		}
		b = s.decide(in, due, pending)
		return b.write(ctx, queries)
	})
	return b, err
}

// question asks for the events of orders, as the catalogue has them read.
func question(due []store.LockDueRow) store.ListPendingParams {
	var params store.ListPendingParams
	for _, entry := range events.Catalog() {
		for _, reader := range entry.ReadBy {
			params.Events, params.Readers = append(params.Events, entry.Name), append(params.Readers, reader)
		}
	}
	for _, order := range due {
		latest := ""
		if status := events.Status(order.Status); !status.Final() {
			latest = eventOf(status)
		}
		params.Ids, params.Latest = append(params.Ids, order.ID), append(params.Latest, latest)
	}
	return params
}

func (s *sweeper) decide(in scope, due []store.LockDueRow, pending []store.ListPendingRow) batch {
	b := batch{size: len(due)}
	rows := map[uuid.UUID][]store.ListPendingRow{}
	for _, row := range pending {
		rows[row.OrderID] = append(rows[row.OrderID], row)
	}
	for _, row := range due {
		b.last = row.ID
		order := Order{Status: events.Status(row.Status), Resends: int(row.Resends)}
		for _, event := range rows[row.ID] {
			order.Pending = append(order.Pending, pendingOf(event))
		}
		if decision := s.policy.Decide(order); decision.Action == Settle || !in.settle {
			b.add(row, order, rows[row.ID], decision)
		}
	}
	return b
}

func pendingOf(row store.ListPendingRow) Pending {
	return Pending{
		Name: row.Name, Unpublished: row.Unpublished, Waiting: row.Waiting,
		Age: time.Duration(row.AgeSeconds * float64(time.Second)),
	}
}

func (b *batch) add(due store.LockDueRow, order Order, rows []store.ListPendingRow, decision Decision) {
	if decision.Action == Settle {
		b.settled = append(b.settled, due.ID)
		return
	}
	after := due.LookedAt.Add(decision.Next)
	b.schedule.Ids = append(b.schedule.Ids, due.ID)
	b.schedule.Resends = append(b.schedule.Resends, int32(decision.Resends)) //nolint:gosec // bounded by MaxResends
	b.schedule.Afters = append(b.schedule.Afters, after)
	rows = slices.DeleteFunc(rows, func(row store.ListPendingRow) bool { return !slices.Contains(decision.Due, row.Name) })
	switch decision.Action {
	case Send:
		b.sendings = append(b.sendings, sendingOf(due, after, rows))
	case GiveUp:
		b.givenUp++
		for _, row := range rows {
			b.addLetter(order, row)
		}
	default:
		b.postponed++
	}
}

func sendingOf(due store.LockDueRow, after time.Time, rows []store.ListPendingRow) sending {
	made := sending{order: due.ID, resends: due.Resends, after: after}
	for _, row := range rows {
		made.age = max(made.age, pendingOf(row).Age)
		made.deliveries = append(made.deliveries, delivery{entry: entryOf(row)})
	}
	return made
}

func (b *batch) write(ctx context.Context, queries *store.Queries) error {
	if err := queries.Settle(ctx, b.settled); err != nil {
		return fmt.Errorf("settle orders: %w", err)
	}
	if err := queries.Schedule(ctx, b.schedule); err != nil {
		return fmt.Errorf("schedule orders: %w", err)
	}
	if err := queries.AddDeadLetters(ctx, b.letters); err != nil {
		return fmt.Errorf("add dead letters: %w", err)
	}
	return nil
}
