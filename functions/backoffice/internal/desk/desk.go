// Package desk is what operators do about orders. It stands behind an interface of the
// pages, so that another desk may take its place.
package desk

import (
	"context"
	"errors"
	"log/slog"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// source signs the events.
const source = "backoffice"

// Desk cancels orders.
type Desk struct {
	pool      postgres.Pool
	publisher *orderlog.Publisher
	logger    *slog.Logger
}

// New makes a desk.
func New(pool postgres.Pool, publisher *orderlog.Publisher, logger *slog.Logger) *Desk {
	return &Desk{pool: pool, publisher: publisher, logger: logger}
}

// Cancel ends an order for its customer, wherever it is on its way. It returns
// book.ErrNoSuch, or a trail.Refused where there is nothing left to be cancelled.
func (d *Desk) Cancel(ctx context.Context, id uuid.UUID) (string, error) {
	entry, err := orderlog.Cancel(ctx, d.pool, id, source, events.ReasonCustomerRequest, telemetry.TraceParent(ctx))
	switch {
	case errors.Is(err, orderlog.ErrIllegalMove):
		return "", trail.Refused{Why: "The order has shipped: it can’t be cancelled any more."}
	case errors.Is(err, orderlog.ErrCancelled):
		return "", trail.Refused{Why: "The order was cancelled before."}
	case errors.Is(err, orderlog.ErrNoOrder):
		return "", book.ErrNoSuch
	case err != nil:
		return "", err
	}
	// What isn't sent now, order-recovery sends.
	if err := d.publisher.Publish(ctx, entry); err != nil {
		d.logger.WarnContext(ctx, "cancellation not published", "order", id.String(), "error", err.Error())
	}
	return "The order is cancelled. Its money and its goods go back, and the customer gets a mail.", nil
}
