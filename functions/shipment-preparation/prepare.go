package function

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/stage"
)

type preparer struct {
	rows     *store.Queries
	payments *attempt.Ledger
	labels   labels
	printed  Printer
}

// parcel is what Ask has found out and done.
type parcel struct {
	payment     attempt.Answer
	labelSHA256 [sha256.Size]byte
}

type delivery = stage.In[events.InventoryUpdated]

func (p preparer) ask(ctx context.Context, in delivery) (parcel, error) {
	switch in.Status {
	case events.StatusInventoryUpdated:
		return p.prepare(ctx, in)
	case events.StatusCancelled:
		return p.withdraw(ctx, in)
	default:
		// A release would take back the money for a parcel that is on its way.
		return parcel{}, nil
	}
}

func (p preparer) prepare(ctx context.Context, in delivery) (parcel, error) {
	pdf, err := p.print(ctx, in)
	if err != nil {
		return parcel{}, err
	}
	if err := p.labels.put(ctx, labelKey(in.OrderID), pdf); err != nil {
		return parcel{}, err
	}
	captured, err := p.payments.Capture(ctx, in.Data, payment.Order{ID: in.OrderID.String(), Total: in.Data.Total})
	if err != nil {
		return parcel{}, payment.IfRefused(err, stage.Reject)
	}
	if err := checkCaptured(captured.Payment, in.Data.Total); err != nil {
		return parcel{}, err
	}
	if _, gone := captured.CancelReason(); gone {
		if err := p.labels.remove(ctx, labelKey(in.OrderID)); err != nil {
			return parcel{}, err
		}
	}
	return parcel{payment: captured, labelSHA256: sha256.Sum256(pdf)}, nil
}

// print makes the order's label, if all that it says is true by our books.
func (p preparer) print(ctx context.Context, in delivery) ([]byte, error) {
	to, err := p.rows.Destination(ctx, in.OrderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, stage.Reject(errors.New("the order has no address"))
	}
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	items, err := p.rows.Items(ctx, in.OrderID)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	if err := agree(in.Data, events.Money{Amount: to.TotalAmount, Currency: to.Currency}, items); err != nil {
		return nil, stage.Reject(err)
	}
	if !allHeld(items) {
		// Most likely the order was cancelled a moment ago: the next delivery knows.
		return nil, errNotHeld
	}
	return p.printed(labelOf(in, to, items))
}

// withdraw undoes what was prepared for an order that is cancelled.
func (p preparer) withdraw(ctx context.Context, in delivery) (parcel, error) {
	released, err := p.payments.Release(ctx, in.Data, payment.Order{ID: in.OrderID.String(), Total: in.Data.Total})
	if err != nil {
		return parcel{}, payment.IfRefused(err, stage.Reject)
	}
	return parcel{payment: released}, p.labels.remove(ctx, labelKey(in.OrderID))
}

func (p preparer) apply(ctx context.Context, tx pgx.Tx, in delivery, made parcel) (events.Data, error) {
	if err := p.payments.Record(ctx, tx, made.payment); err != nil {
		return nil, err
	}
	rows := p.rows.WithTx(tx)
	recorded, err := rows.RecordPayment(ctx, paymentRow(in.OrderID, made.payment.Payment))
	if err != nil {
		return nil, fmt.Errorf("record payment: %w", err)
	}
	if recorded == 0 {
		return nil, errors.New("record payment: none is open")
	}
	if reason, gone := made.payment.CancelReason(); gone {
		return cancelled(in.Data, reason), nil
	}
	if err := ship(ctx, rows, in, made); err != nil {
		return nil, err
	}
	return shipped(in.Data, trackingNumber(in.OrderID)), nil
}

func ship(ctx context.Context, rows *store.Queries, in delivery, made parcel) error {
	taken, err := rows.ShipUnits(ctx, in.OrderID)
	if err != nil {
		return fmt.Errorf("ship units: %w", err)
	}
	if int(taken) != len(in.Data.Lines) {
		return fmt.Errorf("ship units: %d of %d lines: %w", taken, len(in.Data.Lines), errNotHeld)
	}
	err = rows.InsertShipment(ctx, store.InsertShipmentParams{
		OrderID: in.OrderID, Carrier: carrier, TrackingNumber: trackingNumber(in.OrderID),
		LabelKey: labelKey(in.OrderID), LabelSha256: made.labelSHA256[:], PreparedAt: in.Now,
	})
	if err != nil {
		return fmt.Errorf("insert shipment: %w", err)
	}
	return nil
}

// late writes down what became of the payment of an order that was cancelled
// meanwhile, unless order-cancellation has.
func (p preparer) late(ctx context.Context, tx pgx.Tx, in delivery, made parcel) error {
	if err := p.payments.Record(ctx, tx, made.payment); err != nil {
		return err
	}
	if !made.payment.OnRecord() {
		return nil
	}
	if _, err := p.rows.WithTx(tx).RecordPayment(ctx, paymentRow(in.OrderID, made.payment.Payment)); err != nil {
		return fmt.Errorf("record payment: %w", err)
	}
	return nil
}

func paymentRow(order uuid.UUID, answer payment.Payment) store.RecordPaymentParams {
	return store.RecordPaymentParams{
		OrderID: order, State: string(answer.State), DeclineCode: postgres.OrNull(answer.DeclineCode),
		CapturedAt: postgres.OrNull(answer.CapturedAt), ClosedAt: postgres.OrNull(answer.ClosedAt),
	}
}
