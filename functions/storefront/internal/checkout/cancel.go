package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// ErrTooLate says that an order has shipped and can't be cancelled any more.
var ErrTooLate = errors.New("the order has shipped")

// Cancel takes an order back at its customer's wish, which may be repeated. It
// returns ErrTooLate once the order has shipped, and orderlog.ErrNoOrder.
func (d *Desk) Cancel(ctx context.Context, id uuid.UUID) error {
	entry := orderlog.Entry{
		OrderID: id, Name: "order-cancelled", Source: source, TraceParent: telemetry.TraceParent(ctx),
	}
	already := false
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		status, err := orderlog.Lock(ctx, tx, id, source, "")
		if already = status == events.StatusCancelled; already || err != nil {
			return err
		}
		return cancel(ctx, tx, &entry)
	})
	switch {
	case errors.Is(err, orderlog.ErrIllegalMove):
		return ErrTooLate
	case err != nil:
		return fmt.Errorf("cancel order: %w", err)
	case already:
		return nil
	}
	d.publish(ctx, entry)
	return nil
}

func cancel(ctx context.Context, tx pgx.Tx, entry *orderlog.Entry) error {
	queries := store.New(tx)
	var err error
	if entry.OccurredAt, err = queries.Now(ctx); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	data, err := whatIsCancelled(ctx, queries, entry.OrderID)
	if err != nil {
		return err
	}
	entry.Data = data
	if err := orderlog.Move(ctx, tx, entry.OrderID, events.StatusCancelled, data.Reason, entry.OccurredAt); err != nil {
		return err
	}
	return orderlog.Append(ctx, tx, *entry)
}

func whatIsCancelled(ctx context.Context, queries *store.Queries, id uuid.UUID) (events.OrderCancelled, error) {
	order, err := queries.FindOrder(ctx, id)
	if err != nil {
		return events.OrderCancelled{}, fmt.Errorf("find order: %w", err)
	}
	rows, err := queries.ListLines(ctx, id)
	if err != nil {
		return events.OrderCancelled{}, fmt.Errorf("list lines: %w", err)
	}
	lines := make([]events.Line, len(rows))
	for i, row := range rows {
		price := events.Money{Amount: row.PriceAmount, Currency: order.Currency}
		lines[i] = events.Line{SKU: row.Sku, Quantity: int(row.Quantity), UnitPrice: price}
	}
	return events.OrderCancelled{
		OrderID: id.String(), Number: order.Number, Reason: events.ReasonCustomerRequest, Lines: lines,
		Total: events.Money{Amount: order.TotalAmount, Currency: order.Currency},
	}, nil
}
