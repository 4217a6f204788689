// Package function is backoffice: what operators see of the shop.
//
//	an operator's request -> figures
package function

import (
	"context"
	"errors"
	"net/http"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/api"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/guard"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Config are the function's settings.
type Config struct {
	// Token lets in who has it. Without one nobody gets in.
	Token string `env:"BACKOFFICE_TOKEN"`
}

// minToken is the shortest token that can't be found by trying.
const minToken = 16

// New returns the function.
func New() *stage.Function {
	return stage.New("backoffice", build)
}

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	cfg, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	if cfg.Token != "" && len(cfg.Token) < minToken {
		return nil, errors.New("environment: BACKOFFICE_TOKEN has fewer than 16 characters")
	}
	return guard.Headers(api.New(analytics.NewBook(env.Pool), guard.NewDoor(cfg.Token), env.Logger)), nil
}
