package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment/internal/transport"
)

const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 1 << 20
)

// Config is what a function is told of the provider. Package gateway makes one of it.
type Config struct {
	// Provider is "sandbox" or "stripe".
	Provider string `env:"PAYMENT_PROVIDER" envDefault:"sandbox"`
	// URL is where its API is.
	URL string `env:"PAYMENT_PROVIDER_URL,required,notEmpty"`
	// Key is the secret that it knows the shop by.
	Key string `env:"PAYMENT_PROVIDER_KEY,required,notEmpty"`
	// Transport takes the network's place where there is one; it is no setting.
	Transport http.RoundTripper
}

// Client speaks the API of the sandbox provider, which knows an order's payment by
// the order's id alone. It is safe for concurrent use.
type Client struct {
	base    string
	key     string
	http    *http.Client
	timeout time.Duration
}

// NewClient returns a client for the provider at baseURL that presents key. A
// nil httpClient gets one that keeps enough connections open for many orders at
// once. Each call ends after 5 seconds, or earlier by its context.
func NewClient(baseURL, key string, httpClient *http.Client) *Client {
	if httpClient == nil {
		httpClient = transport.NewClient()
	}
	return &Client{base: strings.TrimRight(baseURL, "/"), key: key, http: httpClient, timeout: defaultTimeout}
}

// WithTimeout returns a client whose calls end after another time.
func (c *Client) WithTimeout(timeout time.Duration) *Client {
	clone := *c
	clone.timeout = timeout
	return &clone
}

// Authorise is as in Provider.
func (c *Client) Authorise(ctx context.Context, req AuthoriseRequest) (Payment, error) {
	p, err := c.instruct(ctx, StepAuthorise, req.OrderID, "/v1/payments", req)
	if err != nil {
		return Payment{}, fmt.Errorf("authorise payment: %w", err)
	}
	return p, nil
}

// Capture is as in Provider.
func (c *Client) Capture(ctx context.Context, orderID string) (Payment, error) {
	p, err := c.instruct(ctx, StepCapture, orderID, paymentPath(orderID)+"/capture", struct{}{})
	if err != nil {
		return Payment{}, fmt.Errorf("capture payment: %w", err)
	}
	return p, nil
}

// Release is as in Provider.
func (c *Client) Release(ctx context.Context, orderID string) (Payment, error) {
	p, err := c.instruct(ctx, StepRelease, orderID, paymentPath(orderID)+"/release", struct{}{})
	if err != nil {
		return Payment{}, fmt.Errorf("release payment: %w", err)
	}
	if p.Secured() {
		// Nobody may take this for a release; the call is made again.
		return Payment{}, errors.New("release payment: payment provider has not released it")
	}
	return p, nil
}

// refundRequest is the body of a refund.
type refundRequest struct {
	Return int          `json:"return"`
	Amount events.Money `json:"amount"`
}

// Refund is as in Provider.
func (c *Client) Refund(ctx context.Context, req RefundRequest) (Payment, error) {
	body := refundRequest{Return: req.Return, Amount: req.Amount}
	p, err := c.instruct(ctx, req.step(), req.Order.ID, paymentPath(req.Order.ID)+"/refunds", body)
	if err != nil {
		return Payment{}, fmt.Errorf("refund payment: %w", err)
	}
	if p.Refunded < req.Amount.Amount {
		// Nobody may take this for a refund; the call is made again.
		return Payment{}, errors.New("refund payment: payment provider has not refunded it")
	}
	return p, nil
}

// Find asks how an order's payment stands now. An order that the provider
// doesn't know has StateNone.
func (c *Client) Find(ctx context.Context, orderID string) (Payment, error) {
	var p Payment
	err := c.call(ctx, http.MethodGet, paymentPath(orderID), "", nil, &p)
	if errors.Is(err, ErrNotFound) {
		return Payment{OrderID: orderID, State: StateNone}, nil
	}
	if err != nil {
		return Payment{}, fmt.Errorf("find payment: %w", err)
	}
	return checked(p, orderID)
}

func paymentPath(orderID string) string {
	return "/v1/payments/" + url.PathEscape(orderID)
}

func (c *Client) instruct(ctx context.Context, step Step, orderID, path string, body any) (Payment, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return Payment{}, fmt.Errorf("encode request: %w", err)
	}
	var p Payment
	if err := c.call(ctx, http.MethodPost, path, step.Key(orderID), encoded, &p); err != nil {
		return Payment{}, err
	}
	return checked(p, orderID)
}

// checked guards against an answer that got mixed up on its way, or is of a later
// version of the provider: a state that nobody knows isn't one in which the money is
// gone. A decline that gives no reason, or none that looks like one, gets what cards
// have for that.
func checked(p Payment, orderID string) (Payment, error) {
	switch {
	case p.OrderID != orderID:
		return Payment{}, errors.New("payment provider answers for another order")
	case p.State != StateNone && !slices.Contains(States(), p.State):
		return Payment{}, errors.New("payment provider answers with a state that isn't one")
	case p.ID != "" && !isName(p.ID):
		return Payment{}, errors.New("payment provider answers with an id that isn't one")
	case p.State != StateDeclined:
		p.DeclineCode = ""
	case !isName(p.DeclineCode):
		p.DeclineCode = "generic_decline"
	}
	return p, nil
}

// isName tells whether a stranger's text may stand in our books.
func isName(text string) bool {
	const longest = 64
	return text != "" && len(text) <= longest && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

func (c *Client) call(ctx context.Context, method, path, key string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, method, path, key, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call payment provider: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read to the end
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read payment provider's answer: %w", err)
	}
	return decode(resp.StatusCode, read, answer)
}

func (c *Client) request(ctx context.Context, method, path, key string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	return req, nil
}

func decode(status int, read []byte, answer any) error {
	if status != http.StatusOK {
		var problem Problem
		// Whatever stands between us and the provider may answer in HTML: the
		// status says enough then.
		_ = json.Unmarshal(read, &problem)
		return problem.err(status)
	}
	if err := json.Unmarshal(read, answer); err != nil {
		return fmt.Errorf("decode payment provider's answer: %w", err)
	}
	return nil
}
