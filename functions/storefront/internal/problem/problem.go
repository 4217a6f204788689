// Package problem says in public what went wrong: the one place where errors
// become HTTP statuses. What is not listed here is our own fault, and its text
// stays inside.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// Problem is an RFC 9457 problem.
type Problem struct { //nolint:errname // it is what RFC 9457 calls it; that it is an error too is a convenience
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Errors says which fields of a request are wrong.
	Errors []FieldError `json:"errors,omitempty"`
	// retryAfter is the number of seconds after which it may go better.
	retryAfter int
}

// FieldError says what is wrong with one field.
type FieldError struct {
	// Pointer is a JSON pointer as a URI fragment: "#/lines/0/sku".
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

const types = "https://orderflow.example/problems/"

// Error implements error: a problem that is known where it arises.
func (p Problem) Error() string { return p.Title }

// Malformed says that a request can't be read.
func Malformed(detail string) Problem {
	return Problem{Type: types + "malformed", Title: "The request can’t be read", Status: http.StatusBadRequest, Detail: detail}
}

// TooSlow says that a request's body didn't arrive in time.
func TooSlow() Problem {
	return Problem{Type: types + "too-slow", Title: "The request took too long to arrive", Status: http.StatusRequestTimeout}
}

// TooLarge says that a body is longer than limit bytes.
func TooLarge(limit int64) Problem {
	return Problem{
		Type: types + "too-large", Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
		Detail: "The body may have " + strconv.FormatInt(limit, 10) + " bytes.",
	}
}

// NotJSON says that a body is of a type that we don't read.
func NotJSON() Problem {
	return Problem{
		Type: types + "unsupported-media-type", Title: "The request isn’t JSON", Status: http.StatusUnsupportedMediaType,
		Detail: "The Content-Type must be application/json.",
	}
}

// TooMany says that a client orders too often.
func TooMany() Problem {
	return Problem{
		Type: types + "too-many-orders", Title: "Too many orders", Status: http.StatusTooManyRequests,
		Detail: "Please wait a moment before you order again.", retryAfter: 60,
	}
}

// NotFound says that there is nothing at this address.
func NotFound() Problem {
	return Problem{Type: types + "not-found", Title: "There is nothing here", Status: http.StatusNotFound}
}

// NotAllowed says that a method makes no sense at this address.
func NotAllowed() Problem {
	return Problem{Type: types + "method-not-allowed", Title: "This can’t be done here", Status: http.StatusMethodNotAllowed}
}

// Foreign says that another site's page sent the request.
func Foreign() Problem {
	return Problem{
		Type: types + "cross-origin", Title: "The request comes from another site", Status: http.StatusForbidden,
		Detail: "Forms of this shop can only be sent from its own pages.",
	}
}

// Unavailable says that we can't serve anybody right now.
func Unavailable() Problem {
	return Problem{
		Type: types + "unavailable", Title: "The shop is closed for a moment", Status: http.StatusServiceUnavailable,
		Detail: "Please try again shortly.", retryAfter: 2,
	}
}

// Unsure says that an order may have been placed. There is no Retry-After: who
// has no key must not simply try again.
func Unsure() Problem {
	return Problem{
		Type: types + "outcome-unknown", Title: "The order may have been placed, or not", Status: http.StatusServiceUnavailable,
		Detail: "Send it again with the same Idempotency-Key, and it is placed once. Without a key, look for the mail that confirms it before you order again.",
	}
}

// Of finds the problem for an error.
func Of(err error) Problem {
	var known Problem
	var invalid *checkout.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		return unprocessable(invalid)
	case errors.Is(err, checkout.ErrKeyReused):
		return Problem{
			Type: types + "idempotency-key-reused", Title: "The Idempotency-Key was used before", Status: http.StatusConflict,
			Detail: "An order was placed with this key and another body. Use a new key for a new order.",
		}
	case errors.Is(err, checkout.ErrPriceChanged):
		return Problem{
			Type: types + "price-changed", Title: "The order comes to another total", Status: http.StatusConflict,
			Detail: "Nothing was ordered: at today’s prices it isn’t expected_total. Look at the prices, and send it again.",
		}
	case errors.Is(err, checkout.ErrTooLate):
		return Problem{
			Type: types + "already-shipped", Title: "The order has already shipped", Status: http.StatusConflict,
			Detail: "It can’t be cancelled any more.",
		}
	case errors.Is(err, order.ErrNotFound), errors.Is(err, orderlog.ErrNoOrder):
		return Problem{
			Type: types + "order-not-found", Title: "No such order", Status: http.StatusNotFound,
			Detail: "There is no order with this id and this token.",
		}
	case errors.Is(err, checkout.ErrUnsure):
		return Unsure()
	case passing(err):
		return Unavailable()
	}
	return Problem{Type: "about:blank", Title: "Internal Server Error", Status: http.StatusInternalServerError}
}

func unprocessable(invalid *checkout.InvalidError) Problem {
	fields := make([]FieldError, len(invalid.Problems))
	for i, p := range invalid.Problems {
		fields[i] = FieldError{Pointer: "#" + p.Pointer, Detail: p.Detail}
	}
	return Problem{
		Type: types + "invalid-order", Title: "The order can’t be placed like this", Status: http.StatusUnprocessableEntity,
		Detail: "Nothing was ordered. The errors say which fields are wrong.", Errors: fields,
	}
}

// Headers sets what goes with the problem, in whatever form it is shown.
func (p Problem) Headers(header http.Header) {
	header.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
}

// Write answers with the problem as JSON.
func (p Problem) Write(w http.ResponseWriter) {
	p.Headers(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) //nolint:errcheck,errchkjson,gosec // the client has left
}
