package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	stripe "github.com/stripe/stripe-go/v85"

	"github.com/orderflow-project/orderflow/shared/payment"
)

const refundsPath = "/v1/refunds"

// metaReturn is the number of the return that a refund is for.
const metaReturn = "return"

// Refund implements payment.Provider. How much may be refunded is for Stripe to
// say. A refund that Stripe had to take back is refused: the money is with the shop,
// and somebody has to find another way for it.
func (c *Client) Refund(ctx context.Context, req payment.RefundRequest) (payment.Payment, error) {
	return bounded(ctx, "refund", func(ctx context.Context) (payment.Payment, error) {
		return c.refundPart(ctx, req)
	})
}

func (c *Client) refundPart(ctx context.Context, req payment.RefundRequest) (payment.Payment, error) {
	if err := checkRefund(req); err != nil {
		return payment.Payment{}, err
	}
	found, err := c.find(ctx, req.Order, false)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case found.untouched(), found.closed():
		return payment.Payment{}, payment.ErrNotFound
	}
	if err := c.refundOnce(ctx, req, found); err != nil {
		return payment.Payment{}, err
	}
	after, err := c.retrieve(ctx, req.Order, found.ID)
	if err != nil {
		return payment.Payment{}, err
	}
	return after.payment(req.Order.ID)
}

func checkRefund(req payment.RefundRequest) error {
	switch {
	case req.Return < 1:
		return fmt.Errorf("%w: the return has no number", payment.ErrRefused)
	case req.Amount.Amount <= 0 || req.Amount.Currency != req.Order.Total.Currency:
		return fmt.Errorf("%w: the amount isn't positive, or of another currency", payment.ErrRefused)
	default:
		return nil
	}
}

// refundOnce looks for the return's refund before it makes one, each time: a refund
// of a part would be made again by another key, and Stripe forgets keys. The next key
// is for where Stripe has a failure on record for one, which it may have had before
// the refund was made, or after.
func (c *Client) refundOnce(ctx context.Context, req payment.RefundRequest, found intent) error {
	for n := 1; ; n++ {
		made, err := c.findRefund(ctx, found.ID, req)
		if err != nil || made != nil {
			return errors.Join(err, taken(made))
		}
		if made, err = c.makeRefund(ctx, req, found, n); err == nil {
			return taken(made)
		}
		if n == maxKeys || !spoilt(err) || ctx.Err() != nil {
			return problemOf(err)
		}
	}
}

func (c *Client) makeRefund(ctx context.Context, req payment.RefundRequest, found intent, n int) (*stripe.Refund, error) {
	params := &stripe.RefundCreateParams{
		PaymentIntent: &found.ID, Amount: &req.Amount.Amount,
		Metadata: map[string]string{metaOrder: req.Order.ID, metaReturn: strconv.Itoa(req.Return)},
	}
	params.Context = ctx
	params.SetIdempotencyKey(fmt.Sprintf("orderflow/%s/refund-%d/%d", req.Order.ID, req.Return, n))
	made := &stripe.Refund{}
	return made, c.backend.Call(http.MethodPost, refundsPath, c.key, params, made)
}

// taken says what is wrong with a refund that was made, or nil. One that is pending is
// on its way.
func taken(refund *stripe.Refund) error {
	switch {
	case refund == nil:
		return nil
	case refund.ID == "":
		return errors.New("stripe answers with no refund")
	case refund.Status == stripe.RefundStatusFailed || refund.Status == stripe.RefundStatusCanceled:
		return fmt.Errorf("%w: stripe took the refund back: it is %s", payment.ErrRefused, bound(string(refund.Status)))
	default:
		return nil
	}
}

// findRefund returns the refund of a return, or nil.
func (c *Client) findRefund(ctx context.Context, intentID string, req payment.RefundRequest) (*stripe.Refund, error) {
	query := url.Values{"payment_intent": {intentID}, "limit": {"100"}}
	for {
		var page stripe.RefundList
		err := c.backend.CallRaw(http.MethodGet, refundsPath, c.key, []byte(query.Encode()), &stripe.Params{Context: ctx}, &page)
		if err != nil {
			return nil, problemOf(err)
		}
		for _, one := range page.Data {
			if one == nil || one.Metadata[metaReturn] != strconv.Itoa(req.Return) || one.Metadata[metaOrder] != req.Order.ID {
				continue
			}
			if one.Amount != req.Amount.Amount {
				return nil, fmt.Errorf("%w: the return was refunded by another amount", payment.ErrConflict)
			}
			return one, nil
		}
		if !page.HasMore || len(page.Data) == 0 {
			return nil, nil //nolint:nilnil // there is none, and nothing is wrong with that
		}
		query.Set("starting_after", page.Data[len(page.Data)-1].ID)
	}
}
