// Package payment is the vocabulary of paying, and the client of the sandbox
// provider: money is held when an order is verified (authorise), kept when it
// ships (capture), and given back otherwise (release). Package stripe does the
// same with Stripe, and package gateway chooses.
//
// Every instruction carries an idempotency key made from the order and the
// step. When its outcome is unknown, after a timeout or a cut connection, Find
// tells how the payment stands now, and where that doesn't settle the step the
// same call is made again: the provider acts once and answers with the first
// outcome. Package attempt does that for functions, and keeps a record of each.
package payment

import (
	"context"
	"strconv"
	"time"

	"github.com/orderflow-project/orderflow/events"
)

// State is where a payment stands.
type State string

// The states of a payment. From authorised it goes to one of the others;
// captured can still become refunded.
const (
	// StateNone is of an order the provider holds nothing for and never did.
	StateNone       State = "none"
	StateAuthorised State = "authorised"
	StateCaptured   State = "captured"
	StateVoided     State = "voided"
	StateRefunded   State = "refunded"
	StateDeclined   State = "declined"
)

// States lists every state a payment that exists can be in.
func States() []State {
	return []State{StateAuthorised, StateCaptured, StateVoided, StateRefunded, StateDeclined}
}

// Payment is what the provider says of an order's payment. A decline is such
// an answer, not an error.
type Payment struct {
	ID      string       `json:"id"`
	OrderID string       `json:"order_id"`
	State   State        `json:"state"`
	Amount  events.Money `json:"amount"`
	// Refunded is how much of it was given back after capture, in minor units: less
	// than Amount while it is captured, all of it when it is refunded.
	Refunded int64 `json:"refunded,omitempty"`
	// DeclineCode is there for declined payments, "insufficient_funds".
	DeclineCode string `json:"decline_code,omitempty"`
	// Expired is set where the hold ran out by itself; the state is voided then.
	Expired      bool      `json:"expired,omitempty"`
	AuthorisedAt time.Time `json:"authorised_at,omitzero"`
	CapturedAt   time.Time `json:"captured_at,omitzero"`
	// ClosedAt is when it was voided, refunded or declined.
	ClosedAt time.Time `json:"closed_at,omitzero"`
}

// Secured tells whether the order's money is held or kept.
func (p Payment) Secured() bool {
	return p.State == StateAuthorised || p.State == StateCaptured
}

// OnRecord tells whether the provider keeps a payment of the order. It keeps
// none if it was never asked for one, or didn't know what the customer pays with.
func (p Payment) OnRecord() bool { return p.ID != "" }

// CancelReason is why an order with this payment can't go on; false while its
// money is secured. A hold that is gone without a decline counts as expired.
func (p Payment) CancelReason() (events.Reason, bool) {
	switch {
	case p.Secured():
		return "", false
	case p.State == StateDeclined:
		return events.ReasonPaymentDeclined, true
	default:
		return events.ReasonPaymentExpired, true
	}
}

// AuthoriseRequest asks the provider to hold an order's total.
type AuthoriseRequest struct {
	OrderID string       `json:"order_id"`
	Amount  events.Money `json:"amount"`
	// Method is what the customer pays with, "pm_card_visa".
	Method string `json:"method"`
	// PlacedAt is when the order came into being, before which nobody can have
	// asked for this. A provider that forgets what it was asked needs to know; zero
	// is any time.
	PlacedAt time.Time `json:"-"`
}

// Order is what a provider is told of an order whose payment it has: the same as
// when it was authorised.
type Order struct {
	ID    string
	Total events.Money
}

// Step is what a provider is asked to do with an order's money.
type Step string

// The steps.
const (
	StepAuthorise Step = "authorise"
	StepCapture   Step = "capture"
	StepRelease   Step = "release"
	StepRefund    Step = "refund"
)

// Key is the idempotency key of an order's step: that of the order and nothing else,
// so that whoever makes a call again, in whichever process, makes the same call. A
// refund's is RefundRequest.Key.
func (s Step) Key(orderID string) string { return string(s) + "/" + orderID }

// SettledBy tells whether a payment that is in this state leaves nothing to be done of
// the step. That there is none settles no step: a release has to keep out what may
// still be under way. Nor does any state settle a refund, as it doesn't tell which
// returns it is of.
func (s Step) SettledBy(state State) bool {
	if s == StepRefund {
		return false
	}
	switch state {
	case StateVoided, StateRefunded, StateDeclined:
		return true
	case StateCaptured:
		return s != StepRelease
	case StateAuthorised:
		return s == StepAuthorise
	default:
		return false
	}
}

// RefundRequest asks the provider to give back a part of what was captured, or all.
type RefundRequest struct {
	Order Order
	// Return is the number of the order's return that it is for, from 1: a refund is
	// known by it, and made once.
	Return int
	Amount events.Money
}

// Key is the idempotency key of a return's refund.
func (r RefundRequest) Key() string { return r.step().Key(r.Order.ID) }

func (r RefundRequest) step() Step { return StepRefund + Step("/"+strconv.Itoa(r.Return)) }

// Provider moves an order's money. All calls are idempotent. An error that is
// ErrRefused is final; after any other the outcome is unknown: Find tells, and the
// call is made again.
type Provider interface {
	// Find asks how the order's payment stands, and moves no money. It has
	// StateNone while there is none, or the provider hasn't done with it yet.
	Find(ctx context.Context, order Order) (Payment, error)
	// Authorise holds the amount. The payment is authorised or declined.
	Authorise(ctx context.Context, req AuthoriseRequest) (Payment, error)
	// Capture keeps what is held. Where the hold is gone or the capture is
	// declined, the payment says so (CancelReason); ErrNotFound is for an
	// order that was never authorised.
	Capture(ctx context.Context, order Order) (Payment, error)
	// Release makes sure that no money is held or kept: it voids what is
	// authorised, refunds what is captured, and leaves alone what is declined,
	// voided, refunded or, with StateNone, unknown. It asks for a state rather
	// than an action, so it looks anew each time. It also closes the order: an
	// authorisation that arrives after it is declined, so that a hold can't
	// slip in behind a cancellation. An adapter to a provider that doesn't
	// promise this has to bring it about.
	Release(ctx context.Context, order Order) (Payment, error)
	// Refund gives back a part of what is kept, once for each return, and answers
	// with the payment afterwards, or as it is now. ErrRefused says that so much
	// isn't kept: the payment was never captured, or too much of it was given back.
	Refund(ctx context.Context, req RefundRequest) (Payment, error)
}

// Kind is what a movement does to money.
type Kind string

// The kinds of movement. A decline moves nothing and is listed for the record.
const (
	KindAuthorise Kind = "authorise"
	KindCapture   Kind = "capture"
	KindVoid      Kind = "void"
	KindRefund    Kind = "refund"
	KindDecline   Kind = "decline"
)

// Movement is one line of the provider's ledger. For each order
// authorise = capture + void + what is held, and capture = refunds + what is kept.
type Movement struct {
	Seq       uint64       `json:"seq"`
	At        time.Time    `json:"at"`
	OrderID   string       `json:"order_id"`
	PaymentID string       `json:"payment_id"`
	Kind      Kind         `json:"kind"`
	Amount    events.Money `json:"amount"`
	// State is that of the payment afterwards.
	State State `json:"state"`
}

// MovementPage is a part of the ledger, in the order in which it was written.
type MovementPage struct {
	Movements []Movement `json:"movements"`
	// Next is where the next page starts; More tells whether there is one yet.
	Next uint64 `json:"next"`
	More bool   `json:"more"`
}

// Page is a part of all payments, by order id.
type Page struct {
	Payments []Payment `json:"payments"`
	Next     string    `json:"next"`
	More     bool      `json:"more"`
}
