package function

import (
	"fmt"
	"net/url"

	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// settings are what the storefront is told by its environment. A variable that
// is empty counts as one that isn't set.
type settings struct {
	Postgres  postgres.Config
	Sink      sink.Config
	Telemetry telemetry.Config

	// ShopURL is the shop's address as customers know it.
	ShopURL string `env:"SHOP_URL,required,notEmpty"`
	// OrderTokenKey makes the tokens of orders; whoever sends links to orders has it too.
	OrderTokenKey string `env:"ORDER_TOKEN_KEY,required,notEmpty"`
	// RateLimit is the number of orders per minute and client; 0 for any number.
	RateLimit int `env:"RATE_LIMIT" envDefault:"0"`
	// TrustedProxies is the number of proxies in front that add to X-Forwarded-For.
	TrustedProxies int `env:"TRUSTED_PROXIES" envDefault:"0"`

	// secure tells whether customers come by https, so that cookies may insist on it.
	secure bool
}

func parse(environment map[string]string) (settings, ordertoken.Key, error) {
	parsed, err := config.Parse[settings](environment)
	if err != nil {
		return settings{}, ordertoken.Key{}, err
	}
	key, err := ordertoken.New(parsed.OrderTokenKey)
	if err != nil {
		return settings{}, ordertoken.Key{}, fmt.Errorf("environment: ORDER_TOKEN_KEY: %w", err)
	}
	shop, err := url.Parse(parsed.ShopURL)
	if err != nil || shop.Host == "" || (shop.Scheme != "http" && shop.Scheme != "https") {
		return settings{}, ordertoken.Key{}, fmt.Errorf("environment: SHOP_URL is not an absolute http or https URL")
	}
	parsed.secure = shop.Scheme == "https"
	return parsed, key, nil
}
