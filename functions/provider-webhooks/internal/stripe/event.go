package stripe

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	stripe "github.com/stripe/stripe-go/v85"
)

// notice is what is kept of an event: which payment it is about, and what it says.
type notice struct {
	id, kind, provider string
	order              pgtype.UUID
	status, reason     string
	amount             int64
	currency           string
	at                 time.Time
}

// kinds are the beginnings of the types that tell of an order's money.
var kinds = []string{"payment_intent.", "charge.", "refund."}

// object are the fields of a PaymentIntent, a charge, a refund or a dispute that
// are looked at. Names, addresses and cards are not among them.
type object struct {
	ID                 string            `json:"id"`
	PaymentIntent      json.RawMessage   `json:"payment_intent"`
	Metadata           map[string]string `json:"metadata"`
	Status             string            `json:"status"`
	Reason             string            `json:"reason"`
	CancellationReason string            `json:"cancellation_reason"`
	FailureCode        string            `json:"failure_code"`
	Amount             int64             `json:"amount"`
	AmountRefunded     int64             `json:"amount_refunded"`
	Currency           string            `json:"currency"`
}

var (
	plainID  = regexp.MustCompile(`^[A-Za-z0-9_]{1,255}$`)
	plain    = regexp.MustCompile(`^[a-z0-9_.]{1,100}$`)
	currency = regexp.MustCompile(`^[a-z]{3}$`)
)

// read makes a notice of an event, or none where it tells of nothing that is ours.
func read(event stripe.Event) (notice, bool) {
	kind := string(event.Type)
	ours := false
	for _, begins := range kinds {
		ours = ours || strings.HasPrefix(kind, begins)
	}
	var o object
	if !ours || event.Data == nil || json.Unmarshal(event.Data.Raw, &o) != nil {
		return notice{}, false
	}
	n := notice{
		id: event.ID, kind: kind, provider: intentOf(o), status: code(o.Status), amount: max(o.Amount, 0),
		reason: code(firstOf(o.CancellationReason, o.Reason, o.FailureCode)), at: time.Unix(event.Created, 0).UTC(),
	}
	if kind == "charge.refunded" {
		n.amount = max(o.AmountRefunded, 0)
	}
	if currency.MatchString(o.Currency) {
		n.currency = strings.ToUpper(o.Currency)
	}
	if order, err := uuid.Parse(o.Metadata["order_id"]); err == nil {
		n.order = pgtype.UUID{Bytes: order, Valid: true}
	}
	return n, plainID.MatchString(n.id) && plain.MatchString(kind) && plainID.MatchString(n.provider) && plausible(event.Created)
}

// lastSecond is the end of 9999, which Stripe doesn't get to.
const lastSecond = 253_402_300_799

func plausible(seconds int64) bool { return seconds > 0 && seconds <= lastSecond }

// intentOf is the PaymentIntent that an object belongs to, or is. Stripe gives its
// id, or all of it.
func intentOf(o object) string {
	var id string
	if json.Unmarshal(o.PaymentIntent, &id) == nil && id != "" {
		return id
	}
	var whole struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(o.PaymentIntent, &whole) == nil && whole.ID != "" {
		return whole.ID
	}
	if strings.HasPrefix(o.ID, "pi_") {
		return o.ID
	}
	return ""
}

// code lets through Stripe's own words and no sentence.
func code(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
