// Package stripe has Stripe hold, keep and give back an order's money.
//
// # One PaymentIntent for an order
//
// Authorise, Capture and Release all begin with the same call: they open the
// order's PaymentIntent. Its parameters and its idempotency key are made of the
// order's id and total and of nothing else, so Stripe creates it for the first
// of them and answers all others with that one, whichever process they are in
// and whatever answers were lost. Opening moves no money. What follows is a step
// on a PaymentIntent that is known, and Stripe's own states guard each step: it
// is confirmed at most once, captured or cancelled and never both. That the
// money is only moved by a second call is what makes the rest provable:
//
//   - An authorisation that arrives after the order's release finds its
//     PaymentIntent cancelled, wherever it was under way meanwhile.
//   - A capture that races with a cancellation is the one or the other; the
//     loser hears of an unexpected state, and asks how the payment stands.
//   - Nobody has to search for a payment whose first answer was lost. Stripe's
//     search lags behind by up to a minute, or an hour on a bad day.
//
// Stripe forgets a key after 24 hours at the earliest. From then on opening gives
// another PaymentIntent, of which nothing has become yet; whoever gets such a
// one for an order that may be older searches for the first by its metadata.
// Search has long caught up by then.
//
// # Idempotency keys
//
// A key says order and step, and Stripe holds the request's parameters to it: it
// refuses the same key with another total. A hash of the request in the key would
// turn that refusal into a second payment.
//
// Stripe keeps the answer to a key also where it is a 500, which it would repeat
// for a day. So where the answer is a failure of Stripe's, and one that it says to
// have given before, the next key is the same with a higher number. Everybody
// gets the same failure for the first, and so comes to the same number.
//
// # Refunds of a part
//
// Stripe would make one as often as it is asked with another key. So before each, and
// under a key of the return's own, it is asked for the refunds that there are: each
// says in its metadata which return it is for.
//
// # What Stripe has to be asked again
//
// After a timeout, a 5xx, a 409 or a 429 nobody knows what Stripe has done. The
// call returns an error that isn't final, and when it is made again it begins by
// asking how the PaymentIntent stands.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	stripe "github.com/stripe/stripe-go/v85"

	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/internal/transport"
)

const (
	// timeout bounds all calls of one step, below the deadline of a delivery. Banks
	// may take seconds to answer Stripe.
	timeout   = 15 * time.Second
	maxAnswer = 1 << 20
	// keysLast is less than the 24 hours for which Stripe keeps its answer to a
	// key, to allow for clocks that differ.
	keysLast = 23 * time.Hour
)

// Client is a payment.Provider that asks Stripe, by API version
// 2026-03-25.dahlia. It is safe for concurrent use.
//
// Its errors are those of package payment. They name the status, type and code
// of Stripe's answer and the id of the request, by which Stripe's dashboard finds
// it, and never its message, which may repeat what was sent.
type Client struct {
	// The backend and not stripe.Client, by which all of Stripe's services would be
	// linked into a function: 8 MB instead of 1.4.
	backend stripe.Backend
	key     string
}

var _ payment.Provider = (*Client)(nil)

// New returns a client of the API at baseURL, https://api.stripe.com, that presents
// key, a secret key (sk_) or a restricted one (rk_) that may write PaymentIntents
// and refunds. No call is made yet. An error doesn't repeat the key.
func New(baseURL, key string) (*Client, error) {
	address, err := url.Parse(baseURL)
	if err != nil || address.Host == "" {
		return nil, errors.New("PAYMENT_PROVIDER_URL is no URL")
	}
	if !strings.HasPrefix(key, "sk_") && !strings.HasPrefix(key, "rk_") {
		return nil, errors.New("PAYMENT_PROVIDER_KEY is no secret key of Stripe's: it begins neither with sk_ nor with rk_")
	}
	if strings.Contains(key, "_live_") && address.Scheme != "https" {
		return nil, errors.New("PAYMENT_PROVIDER_URL is not https: a key by which money moves would be sent in the open")
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:        stripe.String(strings.TrimRight(baseURL, "/")),
		HTTPClient: httpClient(),
		// Deliveries are repeated, and with the state asked for first.
		MaxNetworkRetries: stripe.Int64(0),
		// It would log Stripe's messages, to the standard error stream.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return &Client{backend: backend, key: key}, nil
}

func httpClient() *http.Client {
	client := transport.NewClient()
	client.Transport = limited{client.Transport}
	return client
}

// limited cuts answers off that no provider gives.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// Find implements payment.Provider. It may open the order's PaymentIntent, which every
// step of it begins with.
func (c *Client) Find(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return bounded(ctx, "find", func(ctx context.Context) (payment.Payment, error) {
		found, err := c.find(ctx, order, false)
		if err != nil {
			return payment.Payment{}, err
		}
		if !found.decided() {
			return payment.Payment{OrderID: order.ID, State: payment.StateNone}, nil
		}
		return found.payment(order.ID)
	})
}

// Authorise implements payment.Provider. A card whose bank wants its holder to
// act, as by 3-D Secure, is declined with authentication_required: the order is
// being verified while nobody is there to act, and a hold that came about later
// would be for an order that was cancelled meanwhile.
func (c *Client) Authorise(ctx context.Context, req payment.AuthoriseRequest) (payment.Payment, error) {
	return bounded(ctx, "authorise", func(ctx context.Context) (payment.Payment, error) {
		return c.authorise(ctx, req)
	})
}

// Capture implements payment.Provider. Where the hold has run out, the payment
// is voided; where the capture is declined, the hold is given up and the payment
// is declined.
func (c *Client) Capture(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return bounded(ctx, "capture", func(ctx context.Context) (payment.Payment, error) {
		return c.capture(ctx, order)
	})
}

// Release implements payment.Provider. The PaymentIntent of an order that was
// never authorised is cancelled too, and that is what declines an authorisation
// that arrives later.
func (c *Client) Release(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return bounded(ctx, "release", func(ctx context.Context) (payment.Payment, error) {
		return c.release(ctx, order)
	})
}

// Look tells how an order's payment stands by now, by the PaymentIntent that it is
// known by. It changes nothing.
func (c *Client) Look(ctx context.Context, order payment.Order, id string) (payment.Payment, error) {
	return bounded(ctx, "look at", func(ctx context.Context) (payment.Payment, error) {
		found, err := c.retrieve(ctx, order, id)
		if err != nil {
			return payment.Payment{}, err
		}
		return found.payment(order.ID)
	})
}

// bounded has a step end in time, and names it in its error.
func bounded(
	ctx context.Context, name string, do func(context.Context) (payment.Payment, error),
) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := do(ctx)
	if err != nil {
		return payment.Payment{}, fmt.Errorf("%s payment: %w", name, err)
	}
	return p, nil
}

func (c *Client) authorise(ctx context.Context, req payment.AuthoriseRequest) (payment.Payment, error) {
	order := payment.Order{ID: req.OrderID, Total: req.Amount}
	found, err := c.find(ctx, order, time.Since(req.PlacedAt) < keysLast)
	if err != nil {
		return payment.Payment{}, err
	}
	if found.untouched() {
		if found, err = c.confirm(ctx, order, found, req.Method); err != nil {
			return payment.Payment{}, err
		}
	}
	switch {
	case found.Status == stripe.PaymentIntentStatusRequiresAction:
		return c.giveUp(ctx, order, found, string(stripe.DeclineCodeAuthenticationRequired))
	case found.closed():
		return found.declined(order.ID, declineReleased), nil
	default:
		return found.payment(order.ID)
	}
}

// confirm has the money held. What comes of it, a decline or that somebody has
// cancelled it meanwhile, is in the PaymentIntent's state afterwards.
func (c *Client) confirm(ctx context.Context, order payment.Order, found intent, method string) (intent, error) {
	confirmed, err := c.step(ctx, order, found, "confirm", &stripe.PaymentIntentConfirmParams{
		PaymentMethod: &method, ErrorOnRequiresAction: new(true), Expand: expanded(),
	})
	refused := asProblem(err)
	switch {
	case err == nil:
		return confirmed, nil
	case refused.aboutMethod():
		return intent{}, payment.ErrUnknownMethod
	case refused.decides():
		return c.retrieve(ctx, order, found.ID)
	default:
		return intent{}, err
	}
}

func (c *Client) capture(ctx context.Context, order payment.Order) (payment.Payment, error) {
	found, err := c.find(ctx, order, false)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case found.untouched(), found.closed():
		return payment.Payment{}, payment.ErrNotFound
	case found.Status != stripe.PaymentIntentStatusRequiresCapture:
		return found.payment(order.ID)
	case found.declineCode() != "":
		// Its capture was declined before, and giving it up was interrupted.
		return c.giveUp(ctx, order, found, found.declineCode())
	}
	captured, err := c.step(ctx, order, found, "capture", &stripe.PaymentIntentCaptureParams{Expand: expanded()})
	refused := asProblem(err)
	switch {
	case err == nil:
		return captured.payment(order.ID)
	case refused.declines():
		return c.giveUp(ctx, order, found, refused.declineCode())
	case refused.expired():
		return c.release(ctx, order)
	case refused.decides():
		return c.settled(ctx, order, found.ID)
	default:
		return payment.Payment{}, err
	}
}

// settled asks how a payment stands after a capture that Stripe found impossible.
func (c *Client) settled(ctx context.Context, order payment.Order, id string) (payment.Payment, error) {
	found, err := c.retrieve(ctx, order, id)
	if err != nil {
		return payment.Payment{}, err
	}
	if found.Status == stripe.PaymentIntentStatusRequiresCapture {
		return payment.Payment{}, errors.New("stripe neither captures the payment nor says why")
	}
	return found.payment(order.ID)
}

// giveUp closes a payment that is declined though it isn't over for Stripe. The
// reason is noted first, so that whoever asks again hears the same.
func (c *Client) giveUp(ctx context.Context, order payment.Order, found intent, code string) (payment.Payment, error) {
	var noted stripe.PaymentIntent
	err := c.post(ctx, order, "decline", intentPath(found.ID), &stripe.PaymentIntentUpdateParams{
		Metadata: map[string]string{metaDecline: code},
	}, &noted)
	if err != nil && !asProblem(err).decides() {
		return payment.Payment{}, err
	}
	return c.release(ctx, order)
}

func (c *Client) release(ctx context.Context, order payment.Order) (payment.Payment, error) {
	found, err := c.find(ctx, order, false)
	// A capture that comes between is refunded in the second round.
	for range 2 {
		if err != nil {
			return payment.Payment{}, err
		}
		switch {
		case found.kept():
			found, err = c.refund(ctx, order, found)
		case found.cancellable():
			found, err = c.cancel(ctx, order, found)
		default:
			return found.payment(order.ID)
		}
	}
	if err != nil {
		return payment.Payment{}, err
	}
	p, err := found.payment(order.ID)
	if err == nil && p.Secured() {
		// Nobody may take this for a release; the call is made again.
		err = errors.New("stripe has not released it")
	}
	return p, err
}

func (c *Client) cancel(ctx context.Context, order payment.Order, found intent) (intent, error) {
	cancelled, err := c.step(ctx, order, found, "cancel", &stripe.PaymentIntentCancelParams{
		CancellationReason: stripe.String(stripe.PaymentIntentCancellationReasonRequestedByCustomer), Expand: expanded(),
	})
	if asProblem(err).decides() {
		return c.retrieve(ctx, order, found.ID)
	}
	return cancelled, err
}

// refund gives back all that is still kept, which is less than the total where
// somebody has refunded a part in Stripe's dashboard.
func (c *Client) refund(ctx context.Context, order payment.Order, found intent) (intent, error) {
	var made stripe.Refund
	err := c.post(ctx, order, "refund", refundsPath, &stripe.RefundCreateParams{
		PaymentIntent: &found.ID, Metadata: map[string]string{metaOrder: order.ID},
	}, &made)
	if err != nil && asProblem(err).code() != stripe.ErrorCodeChargeAlreadyRefunded {
		return intent{}, err
	}
	return c.retrieve(ctx, order, found.ID)
}
