package function

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-cancellation/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// taker takes back what was shipped.
type taker struct {
	rows     *store.Queries
	payments *attempt.Ledger
}

// ask has the return's money given back. The provider knows the refund by the
// number of the return, so that a delivery that comes again gives nothing twice, and
// the returns of an order may come in any order.
func (t taker) ask(ctx context.Context, in stage.In[events.OrderReturned]) (attempt.Answer, error) {
	answer, err := t.payments.Refund(ctx, in.Data, payment.RefundRequest{
		Order: payment.Order{ID: in.OrderID.String(), Total: in.Data.Total}, Return: in.Data.ReturnNumber, Amount: in.Data.Refund,
	})
	if err != nil {
		return attempt.Answer{}, payment.IfRefused(err, stage.Reject)
	}
	return answer, nil
}

// Our books have less than the provider gave, or than the shop said that came back.
// Nothing is written on such figures: people learn of the event as a dead letter.
var (
	errNotKept    = errors.New("so much of the payment isn't kept")
	errNotShipped = errors.New("so many units weren't shipped")
)

// apply notes what was given back, and puts on sale what can be. It adds to the
// figures, whatever other returns have.
func (t taker) apply(
	ctx context.Context, tx pgx.Tx, in stage.In[events.OrderReturned], answer attempt.Answer,
) (events.Data, error) {
	if err := t.payments.Record(ctx, tx, answer); err != nil {
		return nil, err
	}
	rows := t.rows.WithTx(tx)
	if err := rows.TellCause(ctx, events.NameOf(in.Data)); err != nil {
		return nil, fmt.Errorf("tell cause: %w", err)
	}
	noted, err := rows.RefundPart(ctx, store.RefundPartParams{
		OrderID: in.OrderID, Refund: in.Data.Refund.Amount, Currency: in.Data.Refund.Currency, At: in.Now,
	})
	if err == nil && noted != 1 {
		err = errNotKept
	}
	if err != nil {
		return nil, fmt.Errorf("note refund: %w", err)
	}
	if err := restock(ctx, rows, in.OrderID, in.Data.Lines); err != nil {
		return nil, fmt.Errorf("restock: %w", err)
	}
	return nil, nil //nolint:nilnil // nothing follows a return
}

func restock(ctx context.Context, rows *store.Queries, order uuid.UUID, lines []events.ReturnedLine) error {
	params := store.RestockParams{OrderID: order}
	for _, line := range lines {
		if line.Restocked {
			params.Skus = append(params.Skus, line.SKU)
			params.Quantities = append(params.Quantities, int32(line.Quantity)) //nolint:gosec // at most what an order's line has
		}
	}
	if len(params.Skus) == 0 {
		return nil
	}
	restocked, err := rows.Restock(ctx, params)
	if err == nil && restocked != int64(len(params.Skus)) {
		err = errNotShipped
	}
	return err
}
