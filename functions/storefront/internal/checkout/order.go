// Package checkout turns what a customer asks for into an order, and takes it
// back while that is possible.
//
//	a customer's request -> order-placed
//	a customer's change of mind -> order-cancelled
package checkout

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
)

// Request is what a customer asks for. It holds no price and no name of an
// article: those come from the catalogue.
type Request struct {
	Customer        Customer `json:"customer"`
	ShippingAddress Address  `json:"shipping_address"`
	Lines           []Line   `json:"lines"`
	PaymentMethod   string   `json:"payment_method"`
	// ExpectedTotal is what the customer has been told that it comes to. It sets
	// no price: an order that comes to anything else isn't placed.
	ExpectedTotal *events.Money `json:"expected_total,omitempty"`
	// Language is what the customer is written in, "de"; empty for the shop's own.
	// It is no part of what is ordered: the same request in another is the same.
	Language string `json:"-"`
}

// Customer is who orders.
type Customer struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Address is where the parcel goes.
type Address struct {
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

// Line asks for a number of one article.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Placed is an order that is committed.
type Placed struct {
	ID     uuid.UUID
	Number string
	Total  events.Money
	// Replayed says that an earlier request with the same key placed it.
	Replayed bool
}

// Problem says what is wrong with one field of a request.
type Problem struct {
	// Pointer is the JSON pointer of the field, "/lines/0/sku".
	Pointer string
	// Detail is for people, without the value: it may be personal.
	Detail string
}

// InvalidError is the error for a request that can't become an order.
type InvalidError struct {
	Problems []Problem
}

// Error implements error.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid order: %d problems, the first at %s", len(e.Problems), e.Problems[0].Pointer)
}

// At finds the problem with a field, or "".
func (e *InvalidError) At(pointer string) string {
	for _, p := range e.Problems {
		if p.Pointer == pointer {
			return p.Detail
		}
	}
	return ""
}

// String keeps personal data out of logs.
func (Request) String() string { return "***" }

// GoString keeps personal data out of logs.
func (Request) GoString() string { return "***" }
