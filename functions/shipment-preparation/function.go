// Package function gets the parcel of an order ready: it prints the label,
// takes the money and counts the units off the stock.
//
//	inventory-updated -> order-shipped | order-cancelled (payment_declined, payment_expired)
//
// # First the label, then the money
//
// Money is captured only for what can be shipped, so everything that a parcel
// needs is there before: the address, the units, the label in S3. A label can
// be taken back, and is, when the capture is declined; until the order is
// shipped no row refers to it. A capture that turned out to be for nothing
// would have been on the customer's statement.
//
// # Against the customer's cancellation
//
// The customer may cancel until the order is shipped, which is decided under
// the order's lock. Whoever captured for an order that turns out to be
// cancelled comes to the transaction, finds the order moved and starts over:
// then Ask releases the money and takes the label back. If the process dies
// before that, the event is delivered again with the same end, and
// order-cancellation releases the money besides. A release is final: it voids
// a payment, which can't be captured then, or refunds it.
//
// All of it may run twice. The tracking number is made from the order, the
// label's bytes from the order and the time of the event, and the capture has
// an idempotency key, and is asked about where nobody heard of its end.
package function

import (
	"context"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/label"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/store"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// New is the function, as func's server runs it.
func New() *stage.Function { return NewPrinting(label.Render) }

// Label is what is printed on a parcel.
type Label = label.Label

// Printer draws a label. Of the same label it always makes the same bytes.
type Printer func(Label) ([]byte, error)

// NewPrinting is New with another printer, for who runs so many orders that the
// drawing would be most of the work.
func NewPrinting(printed Printer) *stage.Function {
	return stage.New("shipment-preparation", stage.Rules(func(_ context.Context, env stage.Env) ([]stage.Rule, error) {
		return rules(env, printed)
	}))
}

// Config are the settings that are this function's own.
type Config struct {
	Payment payment.Config
	Labels  LabelConfig
}

func rules(env stage.Env, printed Printer) ([]stage.Rule, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	cfg.Payment.Transport, cfg.Labels.Transport = env.Transport, env.Transport
	labels, err := openLabels(cfg.Labels)
	if err != nil {
		return nil, err
	}
	payments, err := attempt.Open(env.Pool, cfg.Payment, env.Name)
	if err != nil {
		return nil, err
	}
	p := preparer{rows: store.New(env.Pool), payments: payments, labels: labels, printed: printed}
	return []stage.Rule{stage.Step[events.InventoryUpdated, parcel]{Ask: p.ask, Apply: p.apply, Late: p.late}}, nil
}
