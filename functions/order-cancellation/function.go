// Package function undoes what was done for an order that was cancelled: its
// money is voided or refunded, and the stock that was held for it is for sale
// again. Of a shipped order it does so with what is returned.
//
//	order-cancelled -> (nothing)
//	order-returned  -> (nothing)
//
// It may come before what it is to undo. Stock can't be reserved any more, nor
// a parcel shipped: both are done under the order's lock and only while the
// order isn't cancelled. Money is another matter, as the provider knows nothing
// of our locks. The provider's release is therefore final for the order: it
// declines an authorisation that arrives later. A capture that won the race is
// refunded, and one that lost it finds the payment voided.
//
// The money is released first, outside of any transaction. If the process dies
// then, the event is delivered again, and a second release changes nothing.
package function

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-cancellation/internal/store"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// New is the function, as func's server runs it.
func New() *stage.Function {
	return stage.New("order-cancellation", stage.Rules(rules))
}

func rules(_ context.Context, env stage.Env) ([]stage.Rule, error) {
	cfg, err := config.Parse[payment.Config](env.Environment)
	if err != nil {
		return nil, err
	}
	cfg.Transport = env.Transport
	payments, err := attempt.Open(env.Pool, cfg, env.Name)
	if err != nil {
		return nil, err
	}
	c := canceller{rows: store.New(env.Pool), payments: payments}
	t := taker{rows: c.rows, payments: payments}
	return []stage.Rule{
		stage.Step[events.OrderCancelled, attempt.Answer]{Ask: c.ask, Apply: c.apply},
		stage.Step[events.OrderReturned, attempt.Answer]{Ask: t.ask, Apply: t.apply},
	}, nil
}

type canceller struct {
	rows     *store.Queries
	payments *attempt.Ledger
}

// ask has the money released, whatever the reason for the cancellation: that a
// payment was declined says nothing of one that is still under way.
func (c canceller) ask(ctx context.Context, in stage.In[events.OrderCancelled]) (attempt.Answer, error) {
	answer, err := c.payments.Release(ctx, in.Data, payment.Order{ID: in.OrderID.String(), Total: in.Data.Total})
	if err != nil {
		return attempt.Answer{}, payment.IfRefused(err, stage.Reject)
	}
	return answer, nil
}

// apply notes how the payment ended, and returns what was held to stock.
func (c canceller) apply(
	ctx context.Context, tx pgx.Tx, in stage.In[events.OrderCancelled], answer attempt.Answer,
) (events.Data, error) {
	if err := c.payments.Record(ctx, tx, answer); err != nil {
		return nil, err
	}
	rows := c.rows.WithTx(tx)
	if answer.OnRecord() {
		if err := rows.ClosePayment(ctx, row(in.OrderID, answer.Payment)); err != nil {
			return nil, fmt.Errorf("close payment: %w", err)
		}
	}
	if err := rows.ReturnStock(ctx, in.OrderID); err != nil {
		return nil, fmt.Errorf("return stock: %w", err)
	}
	return nil, nil //nolint:nilnil // nothing follows a cancellation
}

func row(order uuid.UUID, answer payment.Payment) store.ClosePaymentParams {
	return store.ClosePaymentParams{
		OrderID: order, ProviderID: answer.ID, State: string(answer.State),
		Amount: answer.Amount.Amount, Currency: answer.Amount.Currency, DeclineCode: postgres.OrNull(answer.DeclineCode),
		AuthorisedAt: postgres.OrNull(answer.AuthorisedAt), CapturedAt: postgres.OrNull(answer.CapturedAt), ClosedAt: postgres.OrNull(answer.ClosedAt),
	}
}
