package stripe

import (
	"fmt"
	"strings"
	"time"

	stripe "github.com/stripe/stripe-go/v85"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// What a PaymentIntent is told about in its metadata.
const (
	metaOrder = "order_id"
	// metaDecline is the reason for which we have given it up.
	metaDecline = "declined_for"
)

// declineReleased is the answer to an authorisation that arrives after its
// order was released, as the sandbox gives it.
const declineReleased = "order_released"

// intent is a PaymentIntent as an order's payment.
type intent struct{ *stripe.PaymentIntent }

// expanded are the parts of a PaymentIntent that say when money has moved. Their
// times are those of the charge, of its capture, and of its refunds.
func expanded() []*string {
	return stripe.StringSlice([]string{"latest_charge.balance_transaction", "latest_charge.refunds"})
}

// attempted tells whether a bank was ever asked.
func (i intent) attempted() bool {
	return i.LatestCharge != nil || i.LastPaymentError != nil || i.declineCode() != ""
}

// untouched tells that it is open, and nothing more has happened to it.
func (i intent) untouched() bool {
	switch i.Status {
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusRequiresConfirmation:
		return !i.attempted()
	default:
		return false
	}
}

// closed tells that it was cancelled before any bank was asked.
func (i intent) closed() bool {
	return i.Status == stripe.PaymentIntentStatusCanceled && !i.attempted()
}

// decided tells that Stripe has done with what it was asked for last.
func (i intent) decided() bool {
	switch i.Status {
	case stripe.PaymentIntentStatusRequiresCapture, stripe.PaymentIntentStatusSucceeded, stripe.PaymentIntentStatusCanceled:
		return true
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		return i.LastPaymentError != nil
	default:
		return false
	}
}

// kept tells whether there is money of it that wasn't refunded.
func (i intent) kept() bool {
	return i.Status == stripe.PaymentIntentStatusSucceeded && !i.refunded()
}

func (i intent) refunded() bool { return i.LatestCharge != nil && i.LatestCharge.Refunded }

// cancellable tells whether it holds money, or still could.
func (i intent) cancellable() bool {
	switch i.Status {
	case stripe.PaymentIntentStatusRequiresCapture, stripe.PaymentIntentStatusRequiresAction,
		stripe.PaymentIntentStatusRequiresConfirmation, stripe.PaymentIntentStatusProcessing:
		return true
	default:
		return i.untouched()
	}
}

// declineCode is the reason for which we have given it up, or "".
func (i intent) declineCode() string { return i.Metadata[metaDecline] }

// progress orders the PaymentIntents of one order: the one that counts is the
// one that has come furthest.
func (i intent) progress() int {
	switch {
	case i.untouched():
		return 0
	case i.closed():
		return 1
	case i.Status == stripe.PaymentIntentStatusSucceeded, i.Status == stripe.PaymentIntentStatusRequiresCapture:
		return 3 //nolint:mnd // the last of them
	default:
		return 2
	}
}

// payment says what its state means. One that Stripe hasn't done with is an
// error: it is to be asked about again.
func (i intent) payment(orderID string) (payment.Payment, error) {
	p := payment.Payment{ID: i.ID, OrderID: orderID, Amount: moneyOf(i.Amount, i.Currency)}
	if i.LatestCharge != nil {
		p.AuthorisedAt = at(i.LatestCharge.Created)
	}
	switch i.Status {
	case stripe.PaymentIntentStatusRequiresCapture:
		p.State = payment.StateAuthorised
		return p, nil
	case stripe.PaymentIntentStatusSucceeded:
		return i.paid(p), nil
	case stripe.PaymentIntentStatusCanceled:
		return i.cancelled(p), nil
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		if i.LastPaymentError != nil {
			return i.declined(orderID, codeOf(i.LastPaymentError)), nil //nolint:nilerr // a decline is an answer
		}
	default:
	}
	return payment.Payment{}, fmt.Errorf("payment is still %s at Stripe", bound(string(i.Status)))
}

func (i intent) paid(p payment.Payment) payment.Payment {
	p.State, p.Amount = payment.StateCaptured, moneyOf(i.AmountReceived, i.Currency)
	charge := i.LatestCharge
	if charge == nil {
		return p
	}
	// An uncaptured charge has no balance transaction: its capture makes it.
	if charge.BalanceTransaction != nil {
		p.CapturedAt = at(charge.BalanceTransaction.Created)
	}
	p.Refunded = charge.AmountRefunded
	if !charge.Refunded {
		return p
	}
	p.State, p.Refunded = payment.StateRefunded, p.Amount.Amount
	if charge.Refunds != nil {
		for _, refund := range charge.Refunds.Data {
			if made := at(refund.Created); made.After(p.ClosedAt) {
				p.ClosedAt = made
			}
		}
	}
	return p
}

func (i intent) cancelled(p payment.Payment) payment.Payment {
	switch {
	case i.closed():
		// Of an order that was never authorised, there is no payment.
		return payment.Payment{OrderID: p.OrderID, State: payment.StateNone}
	case i.declineCode() != "":
		return i.declined(p.OrderID, i.declineCode())
	case i.LatestCharge == nil, i.LatestCharge.Status == stripe.ChargeStatusFailed:
		return i.declined(p.OrderID, codeOf(i.LastPaymentError))
	}
	p.State, p.ClosedAt = payment.StateVoided, at(i.CanceledAt)
	switch i.CancellationReason {
	case stripe.PaymentIntentCancellationReasonAutomatic, stripe.PaymentIntentCancellationReasonExpired:
		p.Expired = true
	default:
	}
	return p
}

func (i intent) declined(orderID, code string) payment.Payment {
	p := payment.Payment{
		ID: i.ID, OrderID: orderID, State: payment.StateDeclined, Amount: moneyOf(i.Amount, i.Currency), DeclineCode: code,
		ClosedAt: at(i.Created),
	}
	if i.LatestCharge != nil {
		p.ClosedAt = at(i.LatestCharge.Created)
		if i.LatestCharge.Status == stripe.ChargeStatusSucceeded {
			p.AuthorisedAt = p.ClosedAt
		}
	}
	if i.CanceledAt != 0 {
		p.ClosedAt = at(i.CanceledAt)
	}
	return p
}

// codeOf is the reason of a decline: the bank's where it gives one, else Stripe's.
func codeOf(refused *stripe.Error) string {
	switch {
	case refused == nil:
		return string(stripe.DeclineCodeGenericDecline)
	case refused.DeclineCode != "" && refused.DeclineCode != stripe.DeclineCodeGenericDecline:
		return bound(string(refused.DeclineCode))
	case refused.Code != "":
		return bound(string(refused.Code))
	default:
		return string(stripe.DeclineCodeGenericDecline)
	}
}

// at is zero for what hasn't happened.
func at(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func moneyOf(amount int64, currency stripe.Currency) events.Money {
	return events.Money{Amount: amount, Currency: strings.ToUpper(string(currency))}
}

// countsOtherwise has the currencies of which Stripe's smallest unit isn't that
// of ISO 4217: it counts the first two in hundredths, and the third in whole ones.
// See docs.stripe.com/currencies. An amount would be wrong a hundredfold.
func countsOtherwise(currency string) bool {
	switch currency {
	case "ISK", "UGX", "MGA":
		return true
	default:
		return false
	}
}
