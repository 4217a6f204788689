package checkout

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// ErrTooLate says that an order has shipped and can't be cancelled any more.
var ErrTooLate = errors.New("the order has shipped")

// Cancel takes an order back at its customer's wish, which may be repeated. It
// returns ErrTooLate once the order has shipped, and orderlog.ErrNoOrder.
func (d *Desk) Cancel(ctx context.Context, id uuid.UUID) error {
	entry, err := orderlog.Cancel(ctx, d.pool, id, source, events.ReasonCustomerRequest, telemetry.TraceParent(ctx))
	switch {
	case errors.Is(err, orderlog.ErrIllegalMove):
		return ErrTooLate
	case errors.Is(err, orderlog.ErrCancelled):
		return nil
	case err != nil:
		return err
	}
	d.publish(ctx, entry)
	return nil
}
