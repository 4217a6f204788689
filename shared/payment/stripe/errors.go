package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	stripe "github.com/stripe/stripe-go/v85"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// problem is an error answer of Stripe's.
type problem struct {
	answer *stripe.Error
	// means is what it is to the caller: one of package payment's, or nil where
	// trying again may help.
	means error
}

func (p *problem) Error() string {
	said := []string{fmt.Sprintf("stripe answers %d", p.answer.HTTPStatusCode)}
	for _, detail := range []string{string(p.answer.Type), string(p.answer.Code), string(p.answer.DeclineCode), p.answer.Param} {
		if detail != "" {
			said = append(said, bound(detail))
		}
	}
	text := strings.Join(said, " ")
	if p.answer.RequestID == "" {
		return text
	}
	return text + ", request " + bound(p.answer.RequestID)
}

func (p *problem) Unwrap() error { return p.means }

// problemOf makes an error of stripe-go's one that may be logged.
func problemOf(err error) error {
	if answer, ok := errors.AsType[*stripe.Error](err); ok {
		return &problem{answer: answer, means: meaning(answer)}
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("call stripe: %w", failed.Err)
	}
	// The text of what can't be parsed is a stranger's.
	return errors.New("stripe's answer can't be read")
}

// meaning says which answers are final. One that is not of Stripe's types is
// somebody else's, a proxy's or whoever took its place; a rejected key is ours to
// put right, and the order must not suffer for it; 409 is the same call still
// under way, and 429 too many.
func meaning(answer *stripe.Error) error {
	switch answer.HTTPStatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return nil
	}
	if answer.HTTPStatusCode >= http.StatusInternalServerError {
		return nil
	}
	switch answer.Type {
	case stripe.ErrorTypeIdempotency:
		return payment.ErrConflict
	case stripe.ErrorTypeInvalidRequest, stripe.ErrorTypeCard:
		return payment.ErrRefused
	default:
		return nil
	}
}

// asProblem returns the answer in an error, or nil, which has no properties.
func asProblem(err error) *problem {
	p, _ := errors.AsType[*problem](err)
	return p
}

func (p *problem) final() bool { return p != nil && p.means != nil }

func (p *problem) code() stripe.ErrorCode {
	if !p.final() {
		return ""
	}
	return p.answer.Code
}

// declines tells that the bank says no.
func (p *problem) declines() bool {
	return p.final() && p.answer.Type == stripe.ErrorTypeCard && !p.expired()
}

func (p *problem) declineCode() string { return codeOf(p.answer) }

// expired tells that it is too late for a capture.
func (p *problem) expired() bool {
	return p.code() == stripe.ErrorCodeChargeExpiredForCapture || p.code() == stripe.ErrorCodeCaptureChargeAuthorizationExpired
}

// decides tells that the PaymentIntent's state has the answer: a bank has said
// no, or somebody else was first.
func (p *problem) decides() bool {
	return p.declines() || p.code() == stripe.ErrorCodePaymentIntentUnexpectedState || p.code() == stripe.ErrorCodeChargeAlreadyCaptured
}

// aboutMethod tells that the customer pays with what Stripe doesn't know, or
// can't take.
func (p *problem) aboutMethod() bool {
	return p.final() && p.answer.Type == stripe.ErrorTypeInvalidRequest && p.answer.Param == "payment_method"
}

// spoilt tells that Stripe has a failure of its own on record for a key.
func spoilt(err error) bool {
	answer, ok := errors.AsType[*stripe.Error](err)
	return ok && answer.HTTPStatusCode >= http.StatusInternalServerError && replayed(&answer.APIResource)
}

// replayed tells that an answer is the one to an earlier request with the key.
func replayed(answer *stripe.APIResource) bool {
	return answer.LastResponse != nil && answer.LastResponse.Header.Get("Idempotent-Replayed") == "true"
}

// bound keeps a stranger's text in bounds.
func bound(text string) string {
	const longest = 64
	strange := func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.[]", c)
	}
	if len(text) > longest || strings.ContainsFunc(text, strange) {
		return "(unreadable)"
	}
	return text
}
