// Package function undoes what was done for an order that was cancelled: its
// money is voided or refunded, and the stock that was held for it is for sale
// again.
//
//	order-cancelled -> (nothing)
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
	"github.com/orderflow-project/orderflow/shared/payment/gateway"
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
	provider, err := gateway.Open(cfg)
	if err != nil {
		return nil, err
	}
	c := canceller{rows: store.New(env.Pool), provider: provider}
	return []stage.Rule{stage.Step[events.OrderCancelled, payment.Payment]{Ask: c.ask, Apply: c.apply}}, nil
}

// provider is what this function needs of a payment.Provider.
type provider interface {
	Release(ctx context.Context, order payment.Order) (payment.Payment, error)
}

type canceller struct {
	rows     *store.Queries
	provider provider
}

// ask has the money released, whatever the reason for the cancellation: that a
// payment was declined says nothing of one that is still under way.
func (c canceller) ask(ctx context.Context, in stage.In[events.OrderCancelled]) (payment.Payment, error) {
	answer, err := c.provider.Release(ctx, payment.Order{ID: in.OrderID.String(), Total: in.Data.Total})
	if err != nil {
		return payment.Payment{}, payment.IfRefused(err, stage.Reject)
	}
	return answer, nil
}

// apply notes how the payment ended, and returns what was held to stock.
func (c canceller) apply(
	ctx context.Context, tx pgx.Tx, in stage.In[events.OrderCancelled], answer payment.Payment,
) (events.Data, error) {
	rows := c.rows.WithTx(tx)
	if answer.OnRecord() {
		if err := rows.ClosePayment(ctx, row(in.OrderID, answer)); err != nil {
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
