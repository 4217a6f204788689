package sandbox

import (
	"crypto/sha256"
	"encoding/base32"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// declineReleased is the answer to an authorisation that arrives after its
// order was released: it was under way when the order was cancelled.
const declineReleased = "order_released"

// record is a payment with what the provider keeps to itself. One in StateNone
// stands for an order that was released before it was ever authorised.
type record struct {
	payment.Payment
	CaptureDecline string    `json:"capture_decline,omitempty"`
	HeldUntil      time.Time `json:"held_until,omitzero"`
}

// exists tells whether the order has ever had a payment.
func (r *record) exists() bool {
	return r.State != "" && r.State != payment.StateNone
}

// authorise opens the payment of an order that has none.
func (r *record) authorise(req payment.AuthoriseRequest, c card, hold time.Duration, now time.Time) payment.Kind {
	released := r.State == payment.StateNone
	r.Payment = payment.Payment{ID: paymentID(req.OrderID), OrderID: req.OrderID, Amount: req.Amount}
	switch {
	case released:
		return r.decline(declineReleased, now)
	case c.decline != "":
		return r.decline(c.decline, now)
	case c.expires:
		hold = 0
	}
	r.State, r.AuthorisedAt = payment.StateAuthorised, now
	r.HeldUntil, r.CaptureDecline = now.Add(hold), c.captureDecline
	return payment.KindAuthorise
}

func (r *record) decline(code string, now time.Time) payment.Kind {
	r.State, r.DeclineCode, r.ClosedAt = payment.StateDeclined, code, now
	return payment.KindDecline
}

// expire voids a hold that has run out. It is looked at whenever somebody asks
// for the payment, so that no clock has to tick.
func (r *record) expire(now time.Time) payment.Kind {
	if r.State != payment.StateAuthorised || now.Before(r.HeldUntil) {
		return ""
	}
	r.State, r.Expired, r.ClosedAt = payment.StateVoided, true, now
	return payment.KindVoid
}

// capture keeps what is held. A declined capture gives the hold back.
func (r *record) capture(now time.Time) payment.Kind {
	switch {
	case r.State != payment.StateAuthorised:
		return ""
	case r.CaptureDecline != "":
		r.decline(r.CaptureDecline, now)
		return payment.KindVoid
	}
	r.State, r.CapturedAt = payment.StateCaptured, now
	return payment.KindCapture
}

// refund gives back a part of what is kept.
func (r *record) refund(amount events.Money, now time.Time) (payment.Kind, error) {
	kept := r.State == payment.StateCaptured && amount.Currency == r.Amount.Currency
	if !kept || amount.Amount > r.Amount.Amount-r.Refunded {
		return "", errNotKept
	}
	if r.Refunded += amount.Amount; r.Refunded == r.Amount.Amount {
		r.State, r.ClosedAt = payment.StateRefunded, now
	}
	return payment.KindRefund, nil
}

// release gives back what is held or kept.
func (r *record) release(now time.Time) payment.Kind {
	switch r.State {
	case payment.StateAuthorised:
		r.State, r.ClosedAt = payment.StateVoided, now
		return payment.KindVoid
	case payment.StateCaptured:
		r.State, r.Refunded, r.ClosedAt = payment.StateRefunded, r.Amount.Amount, now
		return payment.KindRefund
	default:
		return ""
	}
}

// paymentID is made from the order, which has one payment: the same run gives
// the same ids.
func paymentID(orderID string) string {
	sum := sha256.Sum256([]byte(orderID))
	return "pay_" + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15])
}
