package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	stripe "github.com/stripe/stripe-go/v85"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// maxKeys is how many keys of one step Stripe may have spoilt by failures.
const maxKeys = 5

// maxFound is how many PaymentIntents of one order a search looks at. There are
// as many as days on which somebody asked anew.
const maxFound = "20"

// find returns the PaymentIntent of an order, and opens it where there is none.
// Young is an order for which Stripe still has the key of the first call.
func (c *Client) find(ctx context.Context, order payment.Order, young bool) (intent, error) {
	if err := check(order); err != nil {
		return intent{}, err
	}
	opened, err := c.open(ctx, order)
	if errors.Is(err, payment.ErrConflict) {
		return c.findOther(ctx, order, err)
	}
	if err != nil || young || opened.attempted() {
		return opened, err
	}
	older, err := c.search(ctx, order.ID)
	if err != nil || older == "" || older == opened.ID {
		return opened, err
	}
	first, err := c.retrieve(ctx, order, older)
	if err == nil && first.progress() <= opened.progress() {
		return opened, nil
	}
	return first, err
}

// findOther looks for what the order's key was used for, if not for this: an
// earlier version of this code may have said the same in other words. What can't
// be found yet will be.
func (c *Client) findOther(ctx context.Context, order payment.Order, conflict error) (intent, error) {
	id, err := c.search(ctx, order.ID)
	if err != nil {
		return intent{}, err
	}
	if id == "" {
		return intent{}, errors.New("stripe's search doesn't find the order's payment yet")
	}
	found, err := c.retrieve(ctx, order, id)
	if err == nil && moneyOf(found.Amount, found.Currency) != order.Total {
		return intent{}, conflict
	}
	return found, err
}

// open opens the order's PaymentIntent, and returns it as it is now.
func (c *Client) open(ctx context.Context, order payment.Order) (intent, error) {
	params := &stripe.PaymentIntentCreateParams{
		Amount: &order.Total.Amount, Currency: stripe.String(strings.ToLower(order.Total.Currency)),
		CaptureMethod: stripe.String(stripe.PaymentIntentCaptureMethodManual),
		// Money of others can't be held, or only by sending their owner elsewhere.
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Metadata:           map[string]string{metaOrder: order.ID},
	}
	var opened stripe.PaymentIntent
	if err := c.post(ctx, order, "open", intentsPath, params, &opened); err != nil {
		return intent{}, err
	}
	if replayed(&opened.APIResource) {
		// This is how it was when it was opened.
		return c.retrieve(ctx, order, opened.ID)
	}
	return checked(&opened, order)
}

func (c *Client) retrieve(ctx context.Context, order payment.Order, id string) (intent, error) {
	params := &stripe.PaymentIntentRetrieveParams{Expand: expanded()}
	params.Context = ctx
	var found stripe.PaymentIntent
	if err := c.backend.Call(http.MethodGet, intentPath(id), c.key, params, &found); err != nil {
		return intent{}, problemOf(err)
	}
	return checked(&found, order)
}

// search finds which PaymentIntent of an order has come furthest, or "". It is
// behind by up to a minute, so it is for what was made long ago.
func (c *Client) search(ctx context.Context, orderID string) (string, error) {
	query := url.Values{"query": {fmt.Sprintf("metadata[%q]:%q", metaOrder, orderID)}, "limit": {maxFound}}
	var result stripe.PaymentIntentSearchResult
	err := c.backend.CallRaw(http.MethodGet, intentsPath+"/search", c.key, []byte(query.Encode()), &stripe.Params{Context: ctx}, &result)
	if err != nil {
		return "", problemOf(err)
	}
	best, most := "", -1
	for _, found := range result.Data {
		if found == nil || found.Metadata[metaOrder] != orderID {
			return "", errors.New("stripe's search finds another order's payment")
		}
		if p := (intent{found}).progress(); p > most {
			best, most = found.ID, p
		}
	}
	return best, nil
}

const intentsPath = "/v1/payment_intents"

func intentPath(id string) string { return stripe.FormatURLPath(intentsPath+"/%s", id) }

// step takes a PaymentIntent one step on.
func (c *Client) step(ctx context.Context, order payment.Order, found intent, name string, params stripe.ParamsContainer) (intent, error) {
	var made stripe.PaymentIntent
	if err := c.post(ctx, order, name, intentPath(found.ID)+"/"+name, params, &made); err != nil {
		return intent{}, err
	}
	return checked(&made, order)
}

// post makes a call under the key of its step, and under the next one where
// Stripe has a failure on record for it.
func (c *Client) post(
	ctx context.Context, order payment.Order, name, path string, params stripe.ParamsContainer, answer stripe.LastResponseSetter,
) error {
	params.GetParams().Context = ctx
	for n := 1; ; n++ {
		params.GetParams().SetIdempotencyKey(fmt.Sprintf("orderflow/%s/%s/%d", order.ID, name, n))
		err := c.backend.Call(http.MethodPost, path, c.key, params, answer)
		if err == nil {
			return nil
		}
		if n == maxKeys || !spoilt(err) || ctx.Err() != nil {
			return problemOf(err)
		}
	}
}

// checked guards against an answer that got mixed up on its way.
func checked(found *stripe.PaymentIntent, order payment.Order) (intent, error) {
	switch {
	case found.ID == "" || found.Status == "":
		return intent{}, errors.New("stripe answers with no PaymentIntent")
	case found.Metadata[metaOrder] != order.ID:
		return intent{}, errors.New("stripe answers for another order")
	default:
		return intent{found}, nil
	}
}

// check refuses what must not get into a search, or would be charged wrongly.
func check(order payment.Order) error {
	switch {
	case !validID(order.ID):
		return fmt.Errorf("%w: the order's id isn't 1 to 64 letters, digits, - or _", payment.ErrRefused)
	case order.Total.Amount <= 0:
		return fmt.Errorf("%w: the amount isn't positive", payment.ErrRefused)
	case countsOtherwise(order.Total.Currency):
		return fmt.Errorf("%w: Stripe counts %s otherwise than ISO 4217", payment.ErrRefused, order.Total.Currency)
	default:
		return nil
	}
}

func validID(id string) bool {
	return len(id) > 0 && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !letter && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
}
