package attempt

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// The outcomes that are no state of a payment.
const (
	refused = "refused"
	unknown = "unknown"
)

// classify says what an error means, and in one of few words what it was. The text of
// an error stays out of the ledger: it is for logs, and may be a stranger's.
func classify(err error) (outcome, failure string) {
	switch {
	case errors.Is(err, payment.ErrNotFound):
		return refused, "not_found"
	case errors.Is(err, payment.ErrConflict):
		return refused, "conflict"
	case errors.Is(err, payment.ErrUnknownMethod):
		return refused, "unknown_method"
	case errors.Is(err, payment.ErrRefused):
		return refused, "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return unknown, "timeout"
	case errors.Is(err, context.Canceled):
		return unknown, "stopped"
	case isOfNetwork(err):
		return unknown, "connection"
	default:
		return unknown, "unreadable"
	}
}

// isOfNetwork tells a connection that broke, or never came about, from an answer that
// says nothing of the payment.
func isOfNetwork(err error) bool {
	var failed *url.Error
	var broken net.Error
	return errors.As(err, &failed) || errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
