// Package stripe takes Stripe's webhook: what Stripe does with an order's money by
// itself, or people do in its dashboard.
//
// What is told is kept as evidence, and never believed for how things stand: events
// come late, twice and in any order. Only one is acted upon: a hold that is gone
// while its order is on its way. Stripe is asked, and if it says so the order is
// cancelled, as its customer could have.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	stripe "github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// tolerance is how old a signature may be: Stripe signs anew each time. Clocks may
// differ by minutes, and what is played to us again tells nothing new.
const tolerance = 15 * time.Minute

// provider is what is asked how a payment stands.
type provider interface {
	Look(ctx context.Context, order payment.Order, id string) (payment.Payment, error)
}

// publisher sends on what has happened.
type publisher interface {
	Publish(ctx context.Context, e orderlog.Entry) error
	Changed(order uuid.UUID)
}

// Hook is a hook.Hook for Stripe.
type Hook struct {
	// Source is the function's name, by which it signs what it writes.
	Source string
	// Secrets are those of the endpoint, more than one while it is changed.
	Secrets   []string
	Provider  provider
	Publisher publisher
	Pool      postgres.Pool
	Logger    *slog.Logger
}

var _ hook.Hook = (*Hook)(nil)

// Secrets reads the secrets of an endpoint, separated by spaces or commas.
func Secrets(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
}

// Take implements hook.Hook. It may be repeated from anywhere: the evidence is
// written first, and what follows looks at how things stand.
func (h *Hook) Take(ctx context.Context, header http.Header, body []byte) error {
	event, err := h.verify(header.Get("Stripe-Signature"), body)
	if err != nil {
		return fmt.Errorf("stripe: %w", err)
	}
	told, ours := read(event)
	if !ours {
		h.log(ctx, slog.LevelInfo, event, "ignored")
		return nil
	}
	order, err := store.New(h.Pool).FindOrder(ctx, store.FindOrderParams{OrderID: told.order, ProviderID: told.provider})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		h.log(ctx, slog.LevelWarn, event, "of no order of ours")
		return nil // it would stay so for the three days that Stripe tries
	case err != nil:
		return fmt.Errorf("find order: %w", err)
	}
	if err := h.record(ctx, order.ID, told); err != nil {
		return err
	}
	return h.follow(ctx, event, order, told)
}

// verify tries each secret. What it says of a delivery that isn't Stripe's may
// repeat that, and isn't told.
func (h *Hook) verify(signature string, body []byte) (stripe.Event, error) {
	for _, secret := range h.Secrets {
		event, err := webhook.ConstructEventWithOptions(body, signature, secret, webhook.ConstructEventOptions{
			Tolerance: tolerance,
			// The endpoint's version is chosen in Stripe's dashboard. What is read here is
			// the same in all of them.
			IgnoreAPIVersionMismatch: true,
		})
		switch {
		case err == nil:
			return event, nil
		case errors.Is(err, webhook.ErrTooOld):
			return event, fmt.Errorf("%w: too old", hook.ErrForged)
		case !errors.Is(err, webhook.ErrNoValidSignature) && !errors.Is(err, webhook.ErrNotSigned) && !errors.Is(err, webhook.ErrInvalidHeader):
			return event, hook.ErrUnreadable
		}
	}
	return stripe.Event{}, hook.ErrForged
}

func (h *Hook) record(ctx context.Context, order uuid.UUID, told notice) error {
	err := store.New(h.Pool).RecordPaymentEvent(ctx, store.RecordPaymentEventParams{
		EventID: told.id, OrderID: order, Type: told.kind, ProviderID: told.provider, Status: told.status,
		Reason: told.reason, Amount: told.amount, Currency: told.currency, At: told.at,
	})
	if err != nil {
		return fmt.Errorf("record payment event: %w", err)
	}
	return nil
}

// follow cancels an order whose money isn't held any more. While an order waits for
// its payment, and while it is being cancelled, its own steps deal with that.
func (h *Hook) follow(ctx context.Context, event stripe.Event, order store.FindOrderRow, told notice) error {
	onItsWay := order.Status == string(events.StatusPaymentVerified) || order.Status == string(events.StatusInventoryUpdated)
	if event.Type != stripe.EventTypePaymentIntentCanceled || !onItsWay || order.ProviderID != told.provider {
		h.log(ctx, slog.LevelInfo, event, "kept")
		return nil
	}
	total := events.Money{Amount: order.TotalAmount, Currency: order.Currency}
	now, err := h.Provider.Look(ctx, payment.Order{ID: order.ID.String(), Total: total}, told.provider)
	if err != nil {
		return err
	}
	if now.State != payment.StateVoided {
		// A capture that was declined gives its hold up as well: shipment-preparation's.
		h.log(ctx, slog.LevelInfo, event, "kept: the payment is "+string(now.State))
		return nil
	}
	return h.cancel(ctx, event, order.ID)
}

func (h *Hook) cancel(ctx context.Context, event stripe.Event, order uuid.UUID) error {
	entry, err := orderlog.Cancel(ctx, h.Pool, order, h.Source, events.ReasonPaymentExpired, telemetry.TraceParent(ctx))
	switch {
	case errors.Is(err, orderlog.ErrCancelled), errors.Is(err, orderlog.ErrIllegalMove):
		h.log(ctx, slog.LevelInfo, event, "kept: the order has come to its end")
		return nil
	case err != nil:
		return err
	}
	h.log(ctx, slog.LevelWarn, event, "the order is cancelled: its money isn't held any more")
	// Committed is what counts: order-recovery sends what the sink doesn't take now.
	if err := h.Publisher.Publish(ctx, entry); err != nil {
		h.Logger.WarnContext(ctx, "publish cancellation", slog.String("order", order.String()), slog.String("error", err.Error()))
		h.Publisher.Changed(order)
	}
	return nil
}

func (h *Hook) log(ctx context.Context, level slog.Level, event stripe.Event, outcome string) {
	h.Logger.Log(ctx, level, "payment event", slog.String("event", code(strings.ToLower(event.ID))), slog.String("type", code(string(event.Type))),
		slog.String("outcome", outcome))
}
