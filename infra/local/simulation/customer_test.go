package simulation

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	storefront "github.com/orderflow-project/orderflow/functions/storefront"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// scenario is what there is to buy, and what customers want.
type scenario struct {
	articles []article
	wishes   []wish
}

type article struct {
	sku          string
	price, stock int64
}

// wish is an order that a customer will place.
type wish struct {
	// number tells the order from the others, also where some are left out.
	number int
	lines  []storefront.Line
	method string
	// cancels says that the customer takes it back at some time.
	cancels bool
}

func (w wish) request(number int) storefront.Request {
	r := storefront.Request{Lines: w.lines, PaymentMethod: w.method}
	r.Customer.Name, r.Customer.Email = "Ada Lovelace", fmt.Sprintf("customer-%d@example.com", number)
	r.ShippingAddress.Line1, r.ShippingAddress.City = "1 Mill Road", "Berlin"
	r.ShippingAddress.PostalCode, r.ShippingAddress.Country = "10115", "DE"
	return r
}

// draw draws the id of an order, the same ones in every run: the last byte decides
// which counts order-analytics adds it to.
func (w *world) draw() (uuid.UUID, error) {
	w.drawn++
	order := uuid.UUID{6: 0x70, 8: 0x80, 15: byte(w.drawn * 7)}
	binary.BigEndian.PutUint16(order[4:], uint16(w.drawn))
	return order, nil
}

// desk is the storefront's desk, without the name of its type.
type desk interface {
	Place(ctx context.Context, r storefront.Request, key storefront.Key) (storefront.Placed, error)
	Cancel(ctx context.Context, id uuid.UUID) error
}

// opened is a desk with the publisher that is closed with it.
type opened struct {
	desk

	publisher *orderlog.Publisher
}

func (o opened) close() { o.publisher.Close() }
