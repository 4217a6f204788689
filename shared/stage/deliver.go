package stage

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// deliver handles one event, and returns what the function has written about
// it, now or before.
func (h *Handler) deliver(ctx context.Context, received event.Event, rep *report) (*orderlog.Entry, error) {
	d, err := h.read(received)
	if err != nil {
		return nil, err
	}
	rep.order = d.in.OrderID.String() // an event that was sent by hand may have no subject
	for range maxStarts {
		entry, err := h.attempt(ctx, d, rep)
		if errors.Is(err, errMoved) || isDone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return entry, h.publish(ctx, entry, rep)
	}
	return nil, errors.New("deliver: the order keeps moving")
}

// attempt finds what was written about the event, or asks and applies the rule.
func (h *Handler) attempt(ctx context.Context, d delivery, rep *report) (*orderlog.Entry, error) {
	standing, err := orderlog.Find(ctx, h.pool, d.in.OrderID, h.name, d.name)
	if errors.Is(err, orderlog.ErrNoOrder) || errors.Is(err, orderlog.ErrNoEvent) {
		return nil, Reject(err)
	}
	if err != nil {
		return nil, err
	}
	// Whoever can send to a sink can say anything. What happened is what the
	// history has.
	if !reflect.DeepEqual(standing.Data, d.in.Data) {
		return nil, Reject(fmt.Errorf("%s is not the event that happened to the order", d.name))
	}
	if standing.Written != nil {
		rep.outcome = OutcomeDuplicate
		return standing.Written, nil
	}
	d.in.Status, d.in.OccurredAt, d.in.Now = standing.Status, standing.OccurredAt, standing.Now
	answer, err := d.rule.ask(ctx, d.in)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	return h.commit(ctx, d, answer, rep)
}

// commit writes down what follows from the event, all of it or nothing.
func (h *Handler) commit(ctx context.Context, d delivery, answer any, rep *report) (*orderlog.Entry, error) {
	entry := &orderlog.Entry{
		OrderID: d.in.OrderID, Source: h.name, Cause: d.name,
		OccurredAt: d.in.Now, TraceParent: telemetry.TraceParent(ctx),
	}
	rep.outcome = OutcomeApplied
	err := h.inTx(ctx, func(tx pgx.Tx) error {
		if !d.rule.moves() {
			return h.observe(ctx, tx, d, answer, *entry)
		}
		return h.step(ctx, tx, d, answer, entry, rep)
	})
	if err != nil {
		return nil, err
	}
	if d.rule.moves() { // what an observer does changes nothing that a customer sees
		h.publisher.Changed(d.in.OrderID)
	}
	return entry, nil
}

// observe records first and applies then: the record is what duplicates that
// run at the same time wait for.
func (h *Handler) observe(ctx context.Context, tx pgx.Tx, d delivery, answer any, entry orderlog.Entry) error {
	if err := orderlog.Append(ctx, tx, entry); err != nil {
		return err
	}
	_, err := d.rule.apply(ctx, tx, d.in, answer)
	return err
}

func (h *Handler) step(ctx context.Context, tx pgx.Tx, d delivery, answer any, entry *orderlog.Entry, rep *report) error {
	status, err := orderlog.Lock(ctx, tx, d.in.OrderID, h.name, d.name)
	if err != nil {
		return err
	}
	if status != d.in.Status {
		return errMoved
	}
	if !d.standsAt(status) {
		rep.outcome = OutcomeLate
		if err := d.rule.late(ctx, tx, d.in, answer); err != nil {
			return err
		}
		return orderlog.Append(ctx, tx, *entry)
	}
	if entry.Data, err = d.rule.apply(ctx, tx, d.in, answer); err != nil {
		return err
	}
	return h.record(ctx, tx, d, entry)
}

// record moves the order to where the next event leaves it, and stores that event.
func (h *Handler) record(ctx context.Context, tx pgx.Tx, d delivery, entry *orderlog.Entry) error {
	if entry.Data == nil {
		return orderlog.Append(ctx, tx, *entry)
	}
	next, known := events.ByType(entry.Data.Type())
	if !known {
		return fmt.Errorf("record next event: %w: %q", events.ErrUnknownType, entry.Data.Type())
	}
	entry.Name = events.NameOf(entry.Data)
	var reason events.Reason
	if cancelled, ok := entry.Data.(events.OrderCancelled); ok {
		reason = cancelled.Reason
	}
	if err := orderlog.Move(ctx, tx, d.in.OrderID, next.Status, reason, d.in.Now); err != nil {
		return err
	}
	return orderlog.Append(ctx, tx, *entry)
}

// publish hands on the event of an entry, unless there is none, or its sink is
// known to have it.
func (h *Handler) publish(ctx context.Context, entry *orderlog.Entry, rep *report) error {
	if entry.Data == nil {
		return nil
	}
	rep.next = orderlog.EventID(entry.OrderID.String(), entry.Name)
	if entry.Published || h.sink.Replies() {
		return nil
	}
	return h.publisher.Publish(ctx, *entry)
}
