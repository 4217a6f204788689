// Package function is provider-webhooks: what the providers tell by themselves.
//
//	SendGrid's Event Webhook -> evidence of what became of a mail
//	Stripe's webhook         -> evidence of a payment; order-cancelled where the
//	                            money of an order on its way isn't held any more
//
// A webhook is a hint and never the truth: it comes late, twice, in any order, or
// not at all. What is told is kept as evidence, each event once, without personal
// data. Nobody is believed who hasn't signed it.
package function

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/sendgrid"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/stripe"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/payment"
	api "github.com/orderflow-project/orderflow/shared/payment/stripe"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Config are the function's settings.
type Config struct {
	// SendGridKey is the public key of SendGrid's signed Event Webhook, or several
	// while it is changed. Without one nothing of SendGrid's is taken.
	SendGridKey string `env:"SENDGRID_WEBHOOK_KEY"`
	// StripeSecret is the secret of the endpoint in Stripe, or several while it is
	// changed. Without one, or with another provider, nothing of Stripe's is taken.
	StripeSecret string `env:"STRIPE_WEBHOOK_SECRET"`
	Payment      payment.Config
}

const name = "provider-webhooks"

// New returns the function.
func New() *stage.Function {
	return stage.New(name, build)
}

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	clock := time.Now //nolint:forbidigo // the one clock, for the age of signatures and deadlines of connections
	made := &webhooks{publisher: orderlog.NewPublisher(env.Pool, env.Sink, env.Logger)}
	hooks, err := made.hooks(env, cfg, clock)
	if err != nil {
		made.Close()
		return nil, err
	}
	made.Handler = hook.New(hook.Options{Hooks: hooks, Logger: env.Logger, Now: clock})
	return made, nil
}

// webhooks are the way in, and what has to be ended.
type webhooks struct {
	http.Handler
	publisher *orderlog.Publisher
}

// Close writes what is still to be noted about published events.
func (w *webhooks) Close() { w.publisher.Close() }

// hooks are those of the providers that are set up.
func (w *webhooks) hooks(env stage.Env, cfg Config, clock func() time.Time) (map[string]hook.Hook, error) {
	hooks := map[string]hook.Hook{}
	keys, err := sendgrid.ParseKeys(cfg.SendGridKey)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		hooks["/sendgrid"] = &sendgrid.Hook{Keys: keys, Pool: env.Pool, Logger: env.Logger, Now: clock}
	}
	if secrets := stripe.Secrets(cfg.StripeSecret); len(secrets) > 0 && cfg.Payment.Provider == "stripe" {
		provider, err := api.New(cfg.Payment.URL, cfg.Payment.Key)
		if err != nil {
			return nil, fmt.Errorf("environment: %w", err)
		}
		hooks["/stripe"] = &stripe.Hook{
			Source: name, Secrets: secrets, Provider: provider, Publisher: w.publisher, Pool: env.Pool, Logger: env.Logger,
		}
	}
	return hooks, nil
}
