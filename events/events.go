// Package events is the language-neutral contract of Orderflow in Go: the
// events of an order's life, their types, and the catalogue of who sends and
// who reads them. The JSON Schemas and examples beside it say the same to
// everybody else; tests hold the two equal.
//
// An event carries ids, amounts and lines. It never carries personal data:
// names, e-mail and addresses stay in Postgres.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Data is what one event says, the body of a CloudEvent.
type Data interface {
	// Type is the CloudEvents type, "orderflow.order.placed.v1".
	Type() string
	// Order is the id of the order, the subject and partition key of the event.
	Order() string
	// Validate says what is wrong with the data, or nil.
	Validate() error
}

// The CloudEvents types, with their major version.
const (
	TypeOrderPlaced      = "orderflow.order.placed.v1"
	TypePaymentVerified  = "orderflow.payment.verified.v1"
	TypeInventoryUpdated = "orderflow.inventory.updated.v1"
	TypeOrderShipped     = "orderflow.order.shipped.v1"
	TypeOrderCancelled   = "orderflow.order.cancelled.v1"
	TypeOrderReturned    = "orderflow.order.returned.v1"
)

// Line is one article of an order. SKUs are unique within an order.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int    `json:"quantity"`
	UnitPrice Money  `json:"unit_price"`
}

// Shortage is a line that stock could not fill.
type Shortage struct {
	SKU       string `json:"sku"`
	Wanted    int    `json:"wanted"`
	Available int    `json:"available"`
}

// OrderPlaced says that a customer has placed an order and it is committed.
type OrderPlaced struct {
	OrderID string `json:"order_id"`
	Number  string `json:"number"`
	Lines   []Line `json:"lines"`
	Total   Money  `json:"total"`
}

// PaymentVerified says that the payment provider holds the order's total for us.
type PaymentVerified struct {
	OrderID   string `json:"order_id"`
	Number    string `json:"number"`
	PaymentID string `json:"payment_id"`
	Lines     []Line `json:"lines"`
	Total     Money  `json:"total"`
}

// InventoryUpdated says that every line of the order is reserved.
type InventoryUpdated struct {
	OrderID string `json:"order_id"`
	Number  string `json:"number"`
	Lines   []Line `json:"lines"`
	Total   Money  `json:"total"`
}

// OrderShipped says that the payment is captured and the parcel handed over.
type OrderShipped struct {
	OrderID        string `json:"order_id"`
	Number         string `json:"number"`
	Lines          []Line `json:"lines"`
	Total          Money  `json:"total"`
	Carrier        string `json:"carrier"`
	TrackingNumber string `json:"tracking_number"`
}

// OrderCancelled says that the order will not be shipped, and why. Short is
// there for out_of_stock only.
type OrderCancelled struct {
	OrderID string     `json:"order_id"`
	Number  string     `json:"number"`
	Reason  Reason     `json:"reason"`
	Lines   []Line     `json:"lines"`
	Total   Money      `json:"total"`
	Short   []Shortage `json:"short,omitempty"`
}

// ReturnedLine is so many units of an article that came back. A return has at most
// two of an article: what is restocked, and what isn't.
type ReturnedLine struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	// Restocked says that they are for sale again; what is damaged isn't.
	Restocked bool `json:"restocked"`
}

// OrderReturned says that a shop takes back some of what it has shipped, or makes
// good for it, and gives the customer some of the money. It can happen to an order
// several times.
type OrderReturned struct {
	OrderID string `json:"order_id"`
	Number  string `json:"number"`
	// ReturnNumber counts the returns of the order from 1.
	ReturnNumber int          `json:"return_number"`
	Reason       ReturnReason `json:"reason"`
	// Lines is empty where nothing comes back.
	Lines []ReturnedLine `json:"lines"`
	// Refund is what the customer gets, more than nothing; Total is what the order
	// came to, by which the provider knows its payment.
	Refund Money `json:"refund"`
	Total  Money `json:"total"`
}

// Type implements Data.
func (OrderPlaced) Type() string { return TypeOrderPlaced }

// Type implements Data.
func (PaymentVerified) Type() string { return TypePaymentVerified }

// Type implements Data.
func (InventoryUpdated) Type() string { return TypeInventoryUpdated }

// Type implements Data.
func (OrderShipped) Type() string { return TypeOrderShipped }

// Type implements Data.
func (OrderCancelled) Type() string { return TypeOrderCancelled }

// Type implements Data.
func (OrderReturned) Type() string { return TypeOrderReturned }

// Order implements Data.
func (e OrderPlaced) Order() string { return e.OrderID }

// Order implements Data.
func (e PaymentVerified) Order() string { return e.OrderID }

// Order implements Data.
func (e InventoryUpdated) Order() string { return e.OrderID }

// Order implements Data.
func (e OrderShipped) Order() string { return e.OrderID }

// Order implements Data.
func (e OrderCancelled) Order() string { return e.OrderID }

// Order implements Data.
func (e OrderReturned) Order() string { return e.OrderID }

// Validate implements Data.
func (e OrderPlaced) Validate() error {
	return validate(e.OrderID, e.Number, e.Lines, e.Total)
}

// Validate implements Data.
func (e PaymentVerified) Validate() error {
	return errors.Join(validate(e.OrderID, e.Number, e.Lines, e.Total), present("payment_id", e.PaymentID))
}

// Validate implements Data.
func (e InventoryUpdated) Validate() error {
	return validate(e.OrderID, e.Number, e.Lines, e.Total)
}

// Validate implements Data.
func (e OrderShipped) Validate() error {
	return errors.Join(validate(e.OrderID, e.Number, e.Lines, e.Total),
		present("carrier", e.Carrier), present("tracking_number", e.TrackingNumber))
}

// Validate implements Data.
func (e OrderCancelled) Validate() error {
	err := errors.Join(validate(e.OrderID, e.Number, e.Lines, e.Total), present("reason", string(e.Reason)))
	for i, short := range e.Short {
		if !validSKU(short.SKU) || short.Wanted < 1 || short.Available < 0 {
			err = errors.Join(err, fmt.Errorf("short[%d]: no article, or not wanted, or fewer than none: %q", i, short.SKU))
		}
	}
	return err
}

// Validate implements Data.
func (e OrderReturned) Validate() error {
	err := errors.Join(present("order_id", e.OrderID), present("number", e.Number), present("reason", string(e.Reason)))
	if e.ReturnNumber < 1 {
		err = errors.Join(err, fmt.Errorf("return_number: %d is not positive", e.ReturnNumber))
	}
	if e.Lines == nil {
		err = errors.Join(err, errors.New("lines: missing"))
	}
	seen := map[ReturnedLine]bool{}
	for i, line := range e.Lines {
		kind := ReturnedLine{SKU: line.SKU, Restocked: line.Restocked}
		if !validSKU(line.SKU) || seen[kind] {
			err = errors.Join(err, fmt.Errorf("lines[%d].sku: empty or twice, or too long: %q", i, line.SKU))
		}
		seen[kind] = true
		if line.Quantity < 1 {
			err = errors.Join(err, fmt.Errorf("lines[%d].quantity: %d is not positive", i, line.Quantity))
		}
	}
	return errors.Join(err, e.validateMoney())
}

func (e OrderReturned) validateMoney() error {
	for field, money := range map[string]Money{"refund": e.Refund, "total": e.Total} {
		if err := money.validate(); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	switch {
	case e.Refund.Currency != e.Total.Currency:
		return fmt.Errorf("refund: %s of a total of %s: different currencies", e.Refund, e.Total)
	case e.Refund.Amount == 0 || e.Refund.Amount > e.Total.Amount:
		return fmt.Errorf("refund: %s is nothing, or more than the total of %s", e.Refund, e.Total)
	default:
		return nil
	}
}

func validate(orderID, number string, lines []Line, total Money) error {
	err := errors.Join(present("order_id", orderID), present("number", number))
	if len(lines) == 0 {
		return errors.Join(err, errors.New("lines: empty"))
	}
	sum, seen := Money{Currency: total.Currency}, map[string]bool{}
	for i, line := range lines {
		if line.SKU == "" || seen[line.SKU] {
			err = errors.Join(err, fmt.Errorf("lines[%d].sku: empty or twice: %q", i, line.SKU))
		} else if !validSKU(line.SKU) {
			err = errors.Join(err, fmt.Errorf("lines[%d].sku: longer than %d characters", i, maxSKU))
		}
		seen[line.SKU] = true
		if line.Quantity < 1 {
			err = errors.Join(err, fmt.Errorf("lines[%d].quantity: %d is not positive", i, line.Quantity))
			continue
		}
		if priceErr := line.UnitPrice.validate(); priceErr != nil {
			err = errors.Join(err, fmt.Errorf("lines[%d].unit_price: %w", i, priceErr))
			continue
		}
		price, timesErr := line.UnitPrice.Times(line.Quantity)
		next, addErr := sum.Add(price)
		err = errors.Join(err, timesErr, addErr)
		sum = next
	}
	if err == nil && sum != total {
		err = fmt.Errorf("total: %s, but the lines come to %s", total, sum)
	}
	return err
}

// maxSKU is the most characters that a SKU has.
const maxSKU = 32

func validSKU(sku string) bool {
	return sku != "" && utf8.RuneCountInString(sku) <= maxSKU
}

func present(field, value string) error {
	if value == "" {
		return fmt.Errorf("%s: missing", field)
	}
	return nil
}

// ErrUnknownType is returned for a type or a major version we do not know.
var ErrUnknownType = errors.New("unknown event type")

// Decode reads the data of an event of a known type. Fields that we do not
// know are accepted: a newer sender may say more.
func Decode(eventType string, data []byte) (Data, error) {
	switch eventType {
	case TypeOrderPlaced:
		return decode[OrderPlaced](data)
	case TypePaymentVerified:
		return decode[PaymentVerified](data)
	case TypeInventoryUpdated:
		return decode[InventoryUpdated](data)
	case TypeOrderShipped:
		return decode[OrderShipped](data)
	case TypeOrderCancelled:
		return decode[OrderCancelled](data)
	case TypeOrderReturned:
		return decode[OrderReturned](data)
	default:
		return nil, fmt.Errorf("%w: %q", ErrUnknownType, eventType)
	}
}

func decode[T Data](data []byte) (Data, error) {
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, fmt.Errorf("decode %s: %w", value.Type(), err)
	}
	if err := value.Validate(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", value.Type(), err)
	}
	return value, nil
}
