// Package function has the payment provider hold what a placed order costs.
//
//	order-placed -> payment-verified | order-cancelled (payment_declined)
//
// # No hold outlives a cancelled order
//
// A customer may cancel while we ask, and order-cancellation then has the
// provider release the payment, perhaps before there is one. Whatever comes
// between what, the provider ends up holding nothing:
//
//   - The authorisation takes effect before that release: the release voids it.
//   - It takes effect after it: a release closes the order at the provider, so
//     it is declined. That covers what no code of ours could: the request that
//     was still under way when its process died, and the delivery that woke up
//     after another one had handled the event and gone.
//   - There is no such release, since order-cancellation is down or its event
//     lost: whoever has asked comes to the transaction and finds the order
//     moved, so the frame starts over and we release. Whoever dies before that
//     has answered nothing, so the event is delivered again, with the same end.
//
// Only a cancelled order is released, and it stays cancelled: no release can
// hit an order that goes on. An authorisation that is repeated gets its first
// answer, "authorised", even if it was released since; one that is asked about
// gets "voided". No harm comes of either: it only counts while the order is still
// placed, and then nobody has.
//
// Our books follow: the payment is written down under the order's lock by
// whoever of the two functions learns of it first, as the provider tells it,
// and order-cancellation closes what it finds open.
package function

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/payment-verification/internal/store"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// New is the function, as func's server runs it.
func New() *stage.Function {
	return stage.New("payment-verification", stage.Rules(rules))
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
	v := verifier{orders: store.New(env.Pool), payments: payments}
	return []stage.Rule{stage.Step[events.OrderPlaced, attempt.Answer]{Ask: v.ask, Apply: v.apply, Late: v.late}}, nil
}

type verifier struct {
	orders   *store.Queries
	payments *attempt.Ledger
}

// ask has the order's money held, or let go if the order was cancelled.
func (v verifier) ask(ctx context.Context, in stage.In[events.OrderPlaced]) (attempt.Answer, error) {
	switch in.Status {
	case events.StatusPlaced:
		return v.authorise(ctx, in)
	case events.StatusCancelled:
		return v.release(ctx, in)
	default:
		// The order goes on with a payment that isn't of our making, and not
		// ours to touch.
		return attempt.Answer{}, nil
	}
}

func (v verifier) authorise(ctx context.Context, in stage.In[events.OrderPlaced]) (attempt.Answer, error) {
	due, err := v.orders.Due(ctx, in.OrderID)
	if err != nil {
		return attempt.Answer{}, fmt.Errorf("read what is due: %w", err)
	}
	total := events.Money{Amount: due.TotalAmount, Currency: due.Currency}
	if err := checkTotal(in.Data.Total, total); err != nil {
		return attempt.Answer{}, stage.Reject(err)
	}
	answer, err := v.payments.Authorise(ctx, in.Data, payment.AuthoriseRequest{
		OrderID: in.OrderID.String(), Amount: total, Method: due.PaymentMethod, PlacedAt: in.OccurredAt,
	})
	if errors.Is(err, payment.ErrUnknownMethod) {
		return attempt.Answer{Payment: payment.Payment{State: payment.StateDeclined}}, nil
	}
	if err != nil {
		return attempt.Answer{}, payment.IfRefused(err, stage.Reject)
	}
	return answer, checkAuthorised(answer.Payment, total)
}

func (v verifier) release(ctx context.Context, in stage.In[events.OrderPlaced]) (attempt.Answer, error) {
	answer, err := v.payments.Release(ctx, in.Data, payment.Order{ID: in.OrderID.String(), Total: in.Data.Total})
	if err != nil {
		return attempt.Answer{}, payment.IfRefused(err, stage.Reject)
	}
	return answer, nil
}

// apply writes down the payment, and says where the order goes with it.
func (v verifier) apply(
	ctx context.Context, tx pgx.Tx, in stage.In[events.OrderPlaced], answer attempt.Answer,
) (events.Data, error) {
	if err := v.payments.Record(ctx, tx, answer); err != nil {
		return nil, err
	}
	if answer.OnRecord() {
		written, err := v.orders.WithTx(tx).RecordPayment(ctx, row(in.OrderID, answer.Payment))
		if err != nil {
			return nil, fmt.Errorf("record payment: %w", err)
		}
		if written == 0 {
			return nil, errors.New("record payment: a placed order has one already")
		}
	}
	return next(in.Data, answer.Payment), nil
}

// late writes down what became of the payment of an order that was cancelled
// meanwhile, unless order-cancellation has.
func (v verifier) late(ctx context.Context, tx pgx.Tx, in stage.In[events.OrderPlaced], answer attempt.Answer) error {
	if err := v.payments.Record(ctx, tx, answer); err != nil {
		return err
	}
	if !answer.OnRecord() {
		return nil
	}
	if _, err := v.orders.WithTx(tx).RecordPayment(ctx, row(in.OrderID, answer.Payment)); err != nil {
		return fmt.Errorf("record payment: %w", err)
	}
	return nil
}

func row(order uuid.UUID, answer payment.Payment) store.RecordPaymentParams {
	return store.RecordPaymentParams{
		OrderID: order, ProviderID: answer.ID, State: string(answer.State),
		Amount: answer.Amount.Amount, Currency: answer.Amount.Currency, DeclineCode: postgres.OrNull(answer.DeclineCode),
		AuthorisedAt: postgres.OrNull(answer.AuthorisedAt), CapturedAt: postgres.OrNull(answer.CapturedAt), ClosedAt: postgres.OrNull(answer.ClosedAt),
	}
}
