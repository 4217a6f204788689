package payment

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrRefused marks an answer that trying again won't change. Every other error
// is temporary, and leaves open whether the provider has acted.
var ErrRefused = errors.New("payment provider refuses")

// Refusals that a caller may want to tell apart.
var (
	ErrNotFound      = fmt.Errorf("%w: no such payment", ErrRefused)
	ErrConflict      = fmt.Errorf("%w: order has another payment, or the key another request", ErrRefused)
	ErrUnknownMethod = fmt.Errorf("%w: unknown payment method", ErrRefused)
)

// Temporary tells whether the call should be made again.
func Temporary(err error) bool {
	return err != nil && !errors.Is(err, ErrRefused)
}

// IfRefused passes an error on, and marks one by which the provider has refused
// for good, so that the request isn't made again. After any other the outcome is
// unknown, and the same request will be answered with it. How a caller marks
// what is final is the caller's to say: this package knows nothing of deliveries.
func IfRefused(err error, mark func(error) error) error {
	if errors.Is(err, ErrRefused) {
		return mark(err)
	}
	return err
}

// Code names an error of the provider's API.
type Code string

// The codes of the provider's API.
const (
	CodeInvalid       Code = "invalid_request"
	CodeUnauthorised  Code = "unauthorised"
	CodeNotFound      Code = "payment_not_found"
	CodeUnknownMethod Code = "payment_method_unknown"
	CodeConflict      Code = "idempotency_conflict"
	CodeExists        Code = "payment_exists"
	CodeNotKept       Code = "refund_exceeds_payment"
	CodeTooLarge      Code = "request_too_large"
	CodeMediaType     Code = "unsupported_media_type"
	CodeUnavailable   Code = "unavailable"
)

// Problem is the body of an error answer.
type Problem struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// err says what an error answer means to the caller. The provider's message
// stays out of it: it may repeat what must not get into logs.
func (p Problem) err(status int) error {
	// Without the provider's own code it is somebody else who answers, a proxy
	// or whoever took its port: that says nothing about the payment.
	if p.Code == "" || !final(status) {
		return fmt.Errorf("payment provider answers %d %s", status, p.code())
	}
	switch p.Code {
	case CodeNotFound:
		return ErrNotFound
	case CodeConflict, CodeExists:
		return ErrConflict
	case CodeUnknownMethod:
		return ErrUnknownMethod
	default:
		return fmt.Errorf("%w: %d %s", ErrRefused, status, p.code())
	}
}

// code keeps a stranger's text in bounds.
func (p Problem) code() string {
	if p.Code == "" || len(p.Code) > 64 {
		return "(no code)"
	}
	return fmt.Sprintf("%q", p.Code)
}

// final tells which answers are about the request itself. A rejected key is
// not: it is ours to put right, and the order must not suffer for it.
func final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return status >= 400 && status < 500
	}
}
