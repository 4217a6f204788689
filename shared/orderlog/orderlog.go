// Package orderlog keeps the history of orders: the table order_events, which
// is inbox, outbox and timeline at once, and the status that goes with it.
//
// A row says that a function has handled an event and, where something
// happened because of it, is the event that tells so. Both are one row of one
// transaction, so whoever finds the delivery handled also finds what to send.
package orderlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
)

// The ways in which an entry or a move is refused.
var (
	// ErrHandled says that the function has handled this event before, or that
	// what it wants to tell has been told.
	ErrHandled = errors.New("handled before")
	// ErrNoEvent says that no such thing has happened to the order.
	ErrNoEvent = errors.New("no such event")
	// ErrNoOrder says that there is no such order.
	ErrNoOrder = errors.New("no such order")
	// ErrIllegalMove says that the order may not go from where it stands to
	// where it was to be moved.
	ErrIllegalMove = errors.New("illegal move")
)

// Entry is one row of an order's history.
type Entry struct {
	OrderID uuid.UUID
	// Name is what happened, as events.NameOf has it. It is empty where nothing
	// did.
	Name string
	// Source is the function that wrote the entry.
	Source string
	// Cause is the name of the event that the function handled; empty for what
	// a person did.
	Cause string
	// TraceParent continues the trace of the cause.
	TraceParent string
	// Data is the event's body; nil where nothing happened.
	Data events.Data
	// OccurredAt is when it was decided, by the database's clock.
	OccurredAt time.Time
	// Published says that the sink has accepted the event.
	Published bool
}

// querier is what reading needs: a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// key is the row's name in the table. A row that tells of nothing is named for
// the delivery that it keeps from being handled twice.
func (e Entry) key() string {
	if e.Data == nil {
		return e.Cause + "#" + e.Source
	}
	return e.Name
}

const appendEntry = `
insert into order_events (order_id, name, source, cause, type, data, traceparent, occurred_at)
values ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8)
on conflict do nothing`

// Append writes an entry into the history, or returns ErrHandled.
func Append(ctx context.Context, tx pgx.Tx, e Entry) error {
	var eventType *string
	var data []byte
	if e.Data != nil {
		name := e.Data.Type()
		eventType = &name
		var err error
		if data, err = json.Marshal(e.Data); err != nil {
			return fmt.Errorf("encode %s: %w", e.Name, err)
		}
	}
	tag, err := tx.Exec(ctx, appendEntry,
		e.OrderID, e.key(), e.Source, e.Cause, eventType, data, e.TraceParent, e.OccurredAt)
	if err != nil {
		return fmt.Errorf("append %s: %w", e.key(), err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("append %s: %w", e.key(), ErrHandled)
	}
	return nil
}

const moveOrder = `
update orders set status = $2, cancel_reason = nullif($3, ''), updated_at = $4, resends = 0, resend_after = null
where id = $1 and status = any($5)`

// Move changes an order's status, if the table of transitions allows it from
// where the order stands. reason is empty unless the order is cancelled.
func Move(ctx context.Context, tx pgx.Tx, id uuid.UUID, to events.Status, reason events.Reason, at time.Time) error {
	tag, err := tx.Exec(ctx, moveOrder, id, to, reason, at, sourcesOf(to))
	if err != nil {
		return fmt.Errorf("move order to %s: %w", to, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("move order to %s: %w", to, ErrIllegalMove)
	}
	return nil
}

func sourcesOf(to events.Status) []string {
	var from []string
	for status, next := range events.Transitions() {
		if slices.Contains(next, to) {
			from = append(from, string(status))
		}
	}
	return from
}

const (
	// No key update: rows that only refer to the order, such as those of
	// functions that count or send mail, need not wait.
	lockOrder = `select status from orders where id = $1 for no key update`
	// A statement of its own, since it must see what was committed while the
	// one before waited for its lock.
	isHandled = `select exists (select from order_events where order_id = $1 and source = $2 and cause = $3)`
)

// Lock holds the order for the rest of the transaction and tells where it
// stands. It returns ErrHandled where source has handled cause before; for what
// a person does, cause is empty and nothing was handled.
func Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID, source, cause string) (events.Status, error) {
	var status events.Status
	var handled bool
	batch := &pgx.Batch{}
	batch.Queue(lockOrder, id).QueryRow(func(row pgx.Row) error { return row.Scan(&status) })
	batch.Queue(isHandled, id, source, cause).QueryRow(func(row pgx.Row) error { return row.Scan(&handled) })
	err := tx.SendBatch(ctx, batch).Close()
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", fmt.Errorf("lock order: %w", ErrNoOrder)
	case err != nil:
		return "", fmt.Errorf("lock order: %w", err)
	case handled:
		return status, fmt.Errorf("lock order: %w", ErrHandled)
	}
	return status, nil
}

// Standing is what the history says about one event, for one function.
type Standing struct {
	// Status is where the order stands.
	Status events.Status
	// OccurredAt is when the event happened.
	OccurredAt time.Time
	// Data is the body of the event, as it was written when it happened.
	Data events.Data
	// Now is the time by the database's clock, which is the same for all
	// functions however wrong their own clocks are.
	Now time.Time
	// Written is what the function wrote when it handled the event; nil if it
	// hasn't yet.
	Written *Entry
}

const findStanding = `
select o.status, now(), cause.occurred_at, cause.type, cause.data, own.name, own.type, own.data, own.traceparent, own.occurred_at,
       own.published_at is not null
from orders o
left join order_events cause on cause.order_id = o.id and cause.name = $3
left join order_events own on own.order_id = o.id and own.source = $2 and own.cause = $3
where o.id = $1`

// Find tells how things stand for source about the event called cause. It
// returns ErrNoOrder or ErrNoEvent for what isn't in the history: events are
// stored before they are sent.
func Find(ctx context.Context, db querier, id uuid.UUID, source, cause string) (Standing, error) {
	var standing Standing
	var occurredAt *time.Time
	var eventType *string
	var data []byte
	var own ownRow
	err := db.QueryRow(ctx, findStanding, id, source, cause).Scan(&standing.Status, &standing.Now, &occurredAt, &eventType, &data,
		&own.name, &own.eventType, &own.data, &own.traceParent, &own.occurredAt, &own.published)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return standing, fmt.Errorf("find order: %w", ErrNoOrder)
	case err != nil:
		return standing, fmt.Errorf("find order: %w", err)
	case occurredAt == nil || eventType == nil:
		return standing, fmt.Errorf("find %s: %w", cause, ErrNoEvent)
	}
	if standing.Data, err = events.Decode(*eventType, data); err != nil {
		return standing, fmt.Errorf("find %s: %w", cause, err)
	}
	standing.Now, standing.OccurredAt = standing.Now.UTC(), occurredAt.UTC()
	if own.name != nil {
		standing.Written, err = own.entry(id, source, cause)
	}
	return standing, err
}

// ownRow is a row of order_events that may not be there.
type ownRow struct {
	name, eventType, traceParent *string
	data                         []byte
	occurredAt                   *time.Time
	published                    bool
}

func (r ownRow) entry(id uuid.UUID, source, cause string) (*Entry, error) {
	entry := &Entry{
		OrderID: id, Source: source, Cause: cause,
		TraceParent: *r.traceParent, OccurredAt: r.occurredAt.UTC(), Published: r.published,
	}
	if r.eventType == nil {
		return entry, nil
	}
	entry.Name = *r.name
	var err error
	entry.Data, err = events.Decode(*r.eventType, r.data)
	return entry, err
}
