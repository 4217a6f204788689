// Package orderdesk is what operators do to orders: cancel one, and take back what
// was shipped of one, or give money back without that.
//
// Either is written down with who did it and why, in one transaction with the event
// that tells of it, under the order's lock. Everything else follows from the event:
// order-cancellation has the money given back and the units put on sale. The history
// is the outbox: an event that can't be sent now is sent later by order-recovery.
//
// A reference stands for one act, however often somebody enters it; entered again
// with other contents it is refused. So is what was never shipped or paid, and then
// nothing has changed. Returns that nobody has carried out yet count.
package orderdesk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// The ways in which something is refused.
var (
	// ErrInvalid says that the request can't be meant.
	ErrInvalid = errors.New("can't be done")
	// ErrNoOrder says that there is no such order.
	ErrNoOrder = errors.New("no such order")
	// ErrCancelled says that the order is cancelled already.
	ErrCancelled = errors.New("the order is cancelled")
	// ErrShipped says that it is too late to cancel the order.
	ErrShipped = errors.New("the order has shipped: it can only be taken back")
	// ErrNotShipped says that there is nothing yet to be taken back.
	ErrNotShipped = errors.New("the order hasn't shipped: it can be cancelled")
	// ErrUnits says that more is to come back than is out.
	ErrUnits = errors.New("not so many are out")
	// ErrMoney says that more is to be given back than is kept.
	ErrMoney = errors.New("not so much is kept")
	// ErrReference says that the reference stands for something else.
	ErrReference = errors.New("the reference is on record with other contents")
)

// source is where operators work, as the catalogue of events has it.
const source = "backoffice"

// publishTimeout bounds the sending of an event, which order-recovery makes up for.
const publishTimeout = 5 * time.Second

// Act is who does something, and why.
type Act struct {
	By string
	// Reference is what the act is known by outside, as the number of a return,
	// "RMA-7". To take something back takes one; a cancellation is done once anyway.
	Reference string
	// Reason is in the operator's words. A cancellation needs one. No personal data: it
	// is kept for good.
	Reason string
}

// Return is what comes back of an order.
type Return struct {
	// Lines may be empty, and have an article twice: what is restocked and what isn't.
	Lines []events.ReturnedLine
	// Refund is more than nothing.
	Refund events.Money
	Reason events.ReturnReason
}

// Done is what is on record now.
type Done struct {
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	By string    `json:"by"`
	// Event is the id of the event that it led to.
	Event string `json:"event"`
	// Before says that it was on record already, and nothing was done now.
	Before bool `json:"before"`
	// Sent says that the event's sink has it. If not, order-recovery sends it.
	Sent bool `json:"sent"`
}

// Order is an order as far as one must know it to take something back.
type Order struct {
	ID     uuid.UUID
	Number string
	Total  events.Money
}

// publisher sends an event to its KafkaSink.
type publisher interface {
	Publish(ctx context.Context, e orderlog.Entry) error
}

// Desk is where operators deal with orders.
type Desk struct {
	pool      *pgxpool.Pool
	publisher publisher
	tracing   *trace.TracerProvider
}

// New makes a desk that sends its events by a publisher.
func New(pool *pgxpool.Pool, publisher publisher) *Desk {
	return &Desk{pool: pool, publisher: publisher, tracing: trace.NewTracerProvider()}
}

// Find finds an order by its id or number, or returns ErrNoOrder.
func (d *Desk) Find(ctx context.Context, order string) (Order, error) {
	queries := store.New(d.pool)
	params := store.FindOrderParams{Number: order}
	if id, err := uuid.Parse(order); err == nil {
		params.ID = pgtype.UUID{Bytes: id, Valid: true}
	}
	id, err := queries.FindOrder(ctx, params)
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, fmt.Errorf("find order %q: %w", order, ErrNoOrder)
	}
	if err != nil {
		return Order{}, fmt.Errorf("find order: %w", err)
	}
	row, err := queries.DescribeOrder(ctx, id)
	if err != nil {
		return Order{}, fmt.Errorf("find order: %w", err)
	}
	return Order{ID: id, Number: row.Number, Total: events.Money{Amount: row.TotalAmount, Currency: row.Currency}}, nil
}

// Cancel ends an order, wherever it is on its way. It returns ErrInvalid,
// ErrNoOrder, ErrShipped, ErrCancelled or ErrReference, and then has changed nothing.
func (d *Desk) Cancel(ctx context.Context, order uuid.UUID, act Act) (Done, error) {
	if strings.TrimSpace(act.Reason) == "" {
		return Done{}, fmt.Errorf("cancel order: %w: it needs a reason", ErrInvalid)
	}
	done, err := d.act(ctx, order, act, cancellation{})
	if err != nil {
		return Done{}, fmt.Errorf("cancel order: %w", err)
	}
	return done, nil
}

// deed is what an operator does.
type deed interface {
	// action is its name on record.
	action() string
	// do does it, in a transaction that holds the order, which stands at status, and
	// returns the event that tells of it.
	do(ctx context.Context, tx pgx.Tx, order uuid.UUID, status events.Status, about store.DescribeOrderRow, trace string) (orderlog.Entry, error)
	// is tells whether an event tells of just this.
	is(told events.Data) bool
}

// act does something once, puts it on record, and sends its event.
func (d *Desk) act(ctx context.Context, order uuid.UUID, act Act, deed deed) (Done, error) {
	if strings.TrimSpace(act.By) == "" {
		return Done{}, fmt.Errorf("%w: nobody is named who does it", ErrInvalid)
	}
	ctx, span := d.tracing.Tracer(source).Start(ctx, deed.action())
	defer span.End()
	var done Done
	var entry orderlog.Entry
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var err error
		done, entry, err = write(ctx, tx, order, act, deed)
		return err
	})
	if err != nil {
		return Done{}, err
	}
	done.Sent = entry.Published || d.publish(ctx, entry) == nil
	return done, nil
}

func write(ctx context.Context, tx pgx.Tx, order uuid.UUID, act Act, deed deed) (Done, orderlog.Entry, error) {
	queries := store.New(tx)
	status, err := orderlog.Lock(ctx, tx, order, source, "")
	if errors.Is(err, orderlog.ErrNoOrder) {
		return Done{}, orderlog.Entry{}, ErrNoOrder
	}
	if err != nil {
		return Done{}, orderlog.Entry{}, err
	}
	if done, entry, err := again(ctx, queries, order, act, deed); err != nil || done.Before {
		return done, entry, err
	}
	about, err := queries.DescribeOrder(ctx, order)
	if err != nil {
		return Done{}, orderlog.Entry{}, fmt.Errorf("describe order: %w", err)
	}
	trace := ""
	if about.Traced {
		trace = telemetry.TraceParent(ctx)
	}
	entry, err := deed.do(ctx, tx, order, status, about, trace)
	if err != nil {
		return Done{}, orderlog.Entry{}, err
	}
	done, err := sign(ctx, queries, entry, act, deed)
	return done, entry, err
}

// sign puts on record who has done it. Whoever has used the reference for another
// order meanwhile was first.
func sign(ctx context.Context, queries *store.Queries, entry orderlog.Entry, act Act, deed deed) (Done, error) {
	written, err := queries.InsertAct(ctx, store.InsertActParams{
		OrderID: entry.OrderID, Action: deed.action(), Event: entry.Name, Reference: postgres.OrNull(act.Reference),
		Reason: act.Reason, Actor: act.By,
	})
	if err != nil {
		return Done{}, fmt.Errorf("put on record: %w", err)
	}
	if len(written) == 0 {
		return Done{}, ErrReference
	}
	return Done{
		ID: written[0].ID, At: written[0].At.UTC(), By: act.By, Event: orderlog.EventID(entry.OrderID.String(), entry.Name),
	}, nil
}

// again tells of what is on record already, if that is the same.
func again(ctx context.Context, queries *store.Queries, order uuid.UUID, act Act, deed deed) (Done, orderlog.Entry, error) {
	if act.Reference == "" {
		return Done{}, orderlog.Entry{}, nil
	}
	found, err := queries.FindAct(ctx, act.Reference)
	if errors.Is(err, pgx.ErrNoRows) {
		return Done{}, orderlog.Entry{}, nil
	}
	if err != nil {
		return Done{}, orderlog.Entry{}, fmt.Errorf("find %s: %w", act.Reference, err)
	}
	told, err := events.Decode(found.Type, found.Data)
	if err != nil {
		return Done{}, orderlog.Entry{}, fmt.Errorf("read %s: %w", act.Reference, err)
	}
	if found.OrderID != order || found.Action != deed.action() || !deed.is(told) {
		return Done{}, orderlog.Entry{}, fmt.Errorf("%w: %s of order %s, of %s UTC by %s",
			ErrReference, found.Action, found.OrderID, found.At.UTC().Format(time.DateTime), found.Actor)
	}
	entry := orderlog.Entry{
		OrderID: order, Name: found.Event, Source: found.Source, TraceParent: found.Traceparent, Data: told,
		OccurredAt: found.OccurredAt, Published: found.Published,
	}
	return Done{ID: found.ID, At: found.At.UTC(), By: found.Actor, Event: orderlog.EventID(order.String(), found.Event), Before: true}, entry, nil
}

// publish goes on when the operator has left: it is committed. What isn't sent now is
// sent again until it is.
func (d *Desk) publish(ctx context.Context, entry orderlog.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	return d.publisher.Publish(ctx, entry)
}

// cancellation is an order's end at the wish of an operator.
type cancellation struct{}

func (cancellation) action() string { return "cancel" }

func (cancellation) is(told events.Data) bool { return told.Type() == events.TypeOrderCancelled }

func (cancellation) do(ctx context.Context, tx pgx.Tx, order uuid.UUID, _ events.Status, _ store.DescribeOrderRow, trace string) (orderlog.Entry, error) {
	entry, err := orderlog.Cancel(ctx, tx, order, source, events.ReasonOperatorRequest, trace)
	switch {
	case errors.Is(err, orderlog.ErrIllegalMove):
		return entry, ErrShipped
	case errors.Is(err, orderlog.ErrCancelled):
		return entry, ErrCancelled
	default:
		return entry, err
	}
}
