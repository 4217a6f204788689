// Package gateway chooses the payment provider. It is apart from package payment,
// so that whoever needs its words or the sandbox alone isn't built with Stripe.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe"
)

// Open returns the provider that cfg names. It makes no call. An error says which
// setting is wrong, and never its value.
func Open(cfg payment.Config) (payment.Provider, error) {
	switch cfg.Provider {
	case "sandbox":
		return sandboxed{payment.NewClient(cfg.URL, cfg.Key, over(cfg.Transport))}, nil
	case "stripe":
		client, err := stripe.New(cfg.URL, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("environment: %w", err)
		}
		return client, nil
	default:
		return nil, errors.New("environment: PAYMENT_PROVIDER is neither sandbox nor stripe")
	}
}

// over is a client that goes another way than by the network, or nil for the
// network.
func over(transport http.RoundTripper) *http.Client {
	if transport == nil {
		return nil
	}
	return &http.Client{Transport: transport}
}

// sandboxed is the sandbox as a provider.
type sandboxed struct{ client *payment.Client }

func (s sandboxed) Find(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return s.client.Find(ctx, order.ID)
}

func (s sandboxed) Authorise(ctx context.Context, req payment.AuthoriseRequest) (payment.Payment, error) {
	return s.client.Authorise(ctx, req)
}

func (s sandboxed) Capture(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return s.client.Capture(ctx, order.ID)
}

func (s sandboxed) Release(ctx context.Context, order payment.Order) (payment.Payment, error) {
	return s.client.Release(ctx, order.ID)
}

func (s sandboxed) Refund(ctx context.Context, req payment.RefundRequest) (payment.Payment, error) {
	return s.client.Refund(ctx, req)
}
