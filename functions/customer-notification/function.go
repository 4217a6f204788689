// Package function tells customers by mail what became of their orders.
//
//	payment-verified                -> the order is confirmed
//	order-shipped | order-cancelled -> one mail each
//	order-returned                  -> one mail for each return
//	order-placed | inventory-updated -> taken note of
//	dev.knative.sources.ping        -> the links to orders that customers ask for
//
// An order is confirmed once its money is secured, a moment after it is placed:
// a customer whose card is declined hears of that alone, and not of an order
// first and of its end a second later.
//
// A confirmation that comes late is not sent any more once the order is
// cancelled, or the customer was told that it is shipped: it is superseded.
//
// There is one mail per order and change, however often and however
// concurrently an event comes: the row in the table notifications is claimed
// before a mail is sent, and marked as soon as it is accepted. One that may have
// been accepted is not sent again before SendGrid's evidence is asked.
package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// Config is what the function reads from its environment.
type Config struct {
	SendGrid sendgrid.Config
	// From is the sender, "orders@shop.example" or "Shop <orders@shop.example>".
	From string `env:"MAIL_FROM,required,notEmpty"`
	// ShopURL is where customers reach the storefront.
	ShopURL string `env:"SHOP_URL,required,notEmpty"`
	// TokenKey makes the links in mails open the order.
	TokenKey string `env:"ORDER_TOKEN_KEY,required,notEmpty"`
	// WebhookKey is the key of SendGrid's signed Event Webhook. Who has one hears of
	// what became of each mail, and so waits for that before one is sent again.
	WebhookKey string `env:"SENDGRID_WEBHOOK_KEY"`
	// EvidenceWait is how long that is.
	EvidenceWait time.Duration `env:"MAIL_EVIDENCE_WAIT" envDefault:"2m"`
	// Locale is the language of the mails about orders whose customer named none.
	Locale string `env:"MAIL_LOCALE" envDefault:"en"`
}

// New makes the function, the way func calls it.
func New() *stage.Function {
	return stage.New("customer-notification", build)
}

// build has the events handled by their rules, and the ping by the post of links.
func build(ctx context.Context, env stage.Env) (http.Handler, error) {
	settings, err := config.Parse[Config](env.Environment)
	if err != nil {
		return nil, err
	}
	n, err := newNotifier(env, settings)
	if err != nil {
		return nil, err
	}
	events, err := stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) { return rules(n), nil })(ctx, env)
	if err != nil {
		return nil, err
	}
	return &handler{Handler: events, links: &linkPost{n}}, nil
}

// handler tells pings from events.
type handler struct {
	http.Handler

	links *linkPost
}

// ServeHTTP answers a delivery. A PingSource sends its event's type as a header.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Ce-Type") == pingType {
		h.links.ServeHTTP(w, r)
		return
	}
	h.Handler.ServeHTTP(w, r)
}

// Close ends what the events' handler has running.
func (h *handler) Close() {
	if running, closes := h.Handler.(interface{ Close() }); closes {
		running.Close()
	}
}

// evidenceWait is 0 where no evidence will ever come.
func (c Config) evidenceWait() time.Duration {
	if c.WebhookKey == "" {
		return 0
	}
	return c.EvidenceWait
}

func rules(n *notifier) []stage.Rule {
	return []stage.Rule{
		notes[events.OrderPlaced](),
		tells[events.PaymentVerified](n),
		notes[events.InventoryUpdated](),
		tells[events.OrderShipped](n),
		tells[events.OrderCancelled](n),
		tells[events.OrderReturned](n),
	}
}

// tells is the rule for an event that customers hear of. All of it happens
// before the transaction, which only records that the event is handled.
func tells[T events.Data](n *notifier) stage.Rule {
	return stage.Observer[T, stage.None]{
		Ask: func(ctx context.Context, in stage.In[T]) (stage.None, error) {
			return stage.None{}, n.tell(ctx, in.OrderID, in.Data)
		},
		Apply: nothing[T],
	}
}

// notes is the rule for an event that customers don't hear of.
func notes[T events.Data]() stage.Rule {
	return stage.Observer[T, stage.None]{Apply: nothing[T]}
}

func nothing[T events.Data](context.Context, pgx.Tx, stage.In[T], stage.None) error { return nil }

func newNotifier(env stage.Env, settings Config) (*notifier, error) {
	if timeout := settings.SendGrid.Timeout; timeout <= 0 || timeout > maxTimeout {
		return nil, fmt.Errorf("SENDGRID_TIMEOUT must be above 0 and at most %s: a mail is sent and written down within the %s of a delivery",
			maxTimeout, frameDeadline)
	}
	if wait := settings.EvidenceWait; wait < 0 || wait > maxWait {
		return nil, fmt.Errorf("MAIL_EVIDENCE_WAIT must be from 0 to %s: a mail that waits longer becomes a dead letter", maxWait)
	}
	from, err := mail.ParseAddress(settings.From)
	if err != nil {
		return nil, errors.New("MAIL_FROM is not a mail address")
	}
	shop, err := url.Parse(settings.ShopURL)
	if err != nil || !strings.HasPrefix(shop.Scheme, "http") || shop.Host == "" {
		return nil, errors.New("SHOP_URL is not a URL")
	}
	key, err := ordertoken.New(settings.TokenKey)
	if err != nil {
		return nil, err
	}
	letters, err := letter.NewWriters(settings.Locale)
	if err != nil {
		return nil, err
	}
	if from.Name == "" {
		from.Name = letters.In(settings.Locale).Shop()
	}
	return &notifier{
		pool: env.Pool, letters: letters, post: sendgrid.NewClient(settings.SendGrid),
		from: *from, shop: shop, key: key, logger: env.Logger, timeout: settings.SendGrid.Timeout, wait: settings.evidenceWait(),
	}, nil
}
