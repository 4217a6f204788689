// Package desk is what operators do about orders, in the words of the back office. It
// stands behind an interface of the pages, and in front of orderdesk.
package desk

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
)

// Desk cancels orders and takes back what was shipped. What can't be done is a
// trail.Refused, and an order that isn't there book.ErrNoSuch.
type Desk struct{ orders *orderdesk.Desk }

// New makes a desk.
func New(orders *orderdesk.Desk) *Desk { return &Desk{orders: orders} }

// Cancel ends an order, wherever it is on its way.
func (d *Desk) Cancel(ctx context.Context, id uuid.UUID, act orderdesk.Act) (string, error) {
	if _, err := d.orders.Cancel(ctx, id, act); err != nil {
		return "", explained(err)
	}
	return "The order is cancelled. Its money and its goods go back, and the customer gets a mail.", nil
}

// TakeBack takes back what was shipped of an order, and has money given back for it.
func (d *Desk) TakeBack(ctx context.Context, id uuid.UUID, back orderdesk.Return, act orderdesk.Act) (string, error) {
	done, err := d.orders.TakeBack(ctx, id, back, act)
	switch {
	case err != nil:
		return "", explained(err)
	case done.Before:
		return "It was on record already, by " + done.By + ": nothing was done now.", nil
	default:
		return "It is taken back. The money goes back to the customer, who gets a mail.", nil
	}
}

// explained says what operators can be told.
func explained(err error) error {
	for _, known := range []struct {
		is  error
		say string
	}{
		{orderdesk.ErrShipped, "The order has shipped: it can’t be cancelled any more, but taken back."},
		{orderdesk.ErrCancelled, "The order was cancelled before."},
		{orderdesk.ErrNotShipped, "The order hasn’t shipped: it can be cancelled."},
		{orderdesk.ErrUnits, "More would come back than the customer has."},
		{orderdesk.ErrMoney, "More would be given back than was paid and not given back yet."},
		{orderdesk.ErrReference, "This number stands for something else already."},
		{orderdesk.ErrInvalid, "That can’t be meant: please look at the numbers again."},
	} {
		if errors.Is(err, known.is) {
			return trail.Refused{Why: known.say}
		}
	}
	if errors.Is(err, orderdesk.ErrNoOrder) {
		return book.ErrNoSuch
	}
	return err
}
