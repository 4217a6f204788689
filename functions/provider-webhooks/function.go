// Package function is provider-webhooks: what the providers tell by themselves.
//
//	SendGrid's Event Webhook -> evidence of what became of a mail
//
// A webhook is a hint and never the truth: it comes late, twice, in any order, or
// not at all. What is told is kept as evidence, each event once, without personal
// data. Nobody is believed who hasn't signed it.
package function

import (
	"context"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/sendgrid"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Config are the function's settings.
type Config struct {
	// SendGridKey is the public key of SendGrid's signed Event Webhook, or several
	// while it is changed. Without one nothing of SendGrid's is taken.
	SendGridKey string `env:"SENDGRID_WEBHOOK_KEY"`
}

// New returns the function.
func New() *stage.Function {
	return stage.New("provider-webhooks", build)
}

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	clock := time.Now //nolint:forbidigo // the one clock, for the age of signatures and deadlines of connections
	hooks := map[string]hook.Hook{}
	keys, err := sendgrid.ParseKeys(cfg.SendGridKey)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		hooks["/sendgrid"] = &sendgrid.Hook{Keys: keys, Pool: env.Pool, Logger: env.Logger, Now: clock}
	}
	return hook.New(hook.Options{Hooks: hooks, Logger: env.Logger, Now: clock}), nil
}
