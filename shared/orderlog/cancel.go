package orderlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
)

// ErrCancelled says that an order was cancelled before, so that nothing is to be told.
var ErrCancelled = errors.New("cancelled before")

// beginner is a pool or a connection.
type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Cancel ends an order at once, wherever it is on its way, and not because of an
// event: its customer wishes it, or a provider has told something. It returns the
// event that is to be published then. What was done for the order is undone by who
// reads that event.
//
// It returns ErrCancelled, ErrNoOrder, or ErrIllegalMove where the order has shipped.
func Cancel(ctx context.Context, db beginner, id uuid.UUID, source string, reason events.Reason, traceParent string) (Entry, error) {
	entry := Entry{OrderID: id, Name: "order-cancelled", Source: source, TraceParent: traceParent}
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		status, err := Lock(ctx, tx, id, source, "")
		if err != nil {
			return err
		}
		if status == events.StatusCancelled {
			return ErrCancelled
		}
		if entry.Data, entry.OccurredAt, err = whatIsCancelled(ctx, tx, id, reason); err != nil {
			return err
		}
		if err := Move(ctx, tx, id, events.StatusCancelled, reason, entry.OccurredAt); err != nil {
			return err
		}
		return Append(ctx, tx, entry)
	})
	if err != nil {
		return Entry{}, fmt.Errorf("cancel order: %w", err)
	}
	return entry, nil
}

const (
	// Not the transaction's time: it may have waited for the order's lock.
	describeOrder = `select number, total_amount, currency, clock_timestamp() from orders where id = $1`
	listLines     = `select sku, quantity, price_amount from order_lines where order_id = $1 order by line`
)

func whatIsCancelled(ctx context.Context, tx pgx.Tx, id uuid.UUID, reason events.Reason) (events.OrderCancelled, time.Time, error) {
	told := events.OrderCancelled{OrderID: id.String(), Reason: reason}
	var now time.Time
	err := tx.QueryRow(ctx, describeOrder, id).Scan(&told.Number, &told.Total.Amount, &told.Total.Currency, &now)
	if err != nil {
		return told, now, fmt.Errorf("find order: %w", err)
	}
	rows, err := tx.Query(ctx, listLines, id)
	if err != nil {
		return told, now, fmt.Errorf("list lines: %w", err)
	}
	told.Lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (events.Line, error) {
		line := events.Line{UnitPrice: events.Money{Currency: told.Total.Currency}}
		err := row.Scan(&line.SKU, &line.Quantity, &line.UnitPrice.Amount)
		return line, err
	})
	if err != nil {
		return told, now, fmt.Errorf("list lines: %w", err)
	}
	return told, now, nil
}
