package function

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/label"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment"
)

const carrier = "Orderflow Parcel"

var (
	errOtherOrder = errors.New("the event's lines or total are not the order's")
	errNotHeld    = errors.New("not every line of the order is held in stock")
)

// agree holds the event against the order as it is stored: that is what was
// paid for.
func agree(order events.InventoryUpdated, total events.Money, items []store.ItemsRow) error {
	if order.Total != total || len(order.Lines) != len(items) {
		return errOtherOrder
	}
	ordered := map[string]int32{}
	for _, item := range items {
		ordered[item.Sku] = item.Quantity
	}
	for _, line := range order.Lines {
		if int64(ordered[line.SKU]) != int64(line.Quantity) {
			return errOtherOrder
		}
	}
	return nil
}

func allHeld(items []store.ItemsRow) bool {
	for _, item := range items {
		if !item.Held {
			return false
		}
	}
	return true
}

// checkCaptured makes sure that no parcel leaves without its money. A capture
// that was declined, or came too late, is fine: it cancels the order.
func checkCaptured(answer payment.Payment, total events.Money) error {
	if _, gone := answer.CancelReason(); gone {
		return nil
	}
	if answer.State != payment.StateCaptured || answer.Amount != total {
		return fmt.Errorf("payment provider says that %s is %s, for an order of %s", answer.Amount, answer.State, total)
	}
	return nil
}

// labelKey is where the order's label is stored: storing it again overwrites it.
func labelKey(order uuid.UUID) string { return "labels/" + order.String() + ".pdf" }

const trackingDigits = 21

// trackingNumber is made from the order, so that preparing it again gives the
// same: "OP" and 21 digits, enough that two orders don't meet in one, and a
// check digit.
func trackingNumber(order uuid.UUID) string {
	sum := sha256.Sum256([]byte("tracking:" + order.String()))
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(trackingDigits), nil)
	digits := new(big.Int).Mod(new(big.Int).SetBytes(sum[:]), limit).Text(10)
	for len(digits) < trackingDigits {
		digits = "0" + digits
	}
	return "OP" + digits + string(checkDigit(digits))
}

// checkDigit is that of ISO 7064, MOD 11,10: one wrong digit never passes, and
// of two neighbours that are swapped hardly a pair.
func checkDigit(digits string) byte {
	product := 10
	for _, digit := range digits {
		sum := (product + int(digit-'0')) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return byte('0' + (11-product)%10)
}

func labelOf(in delivery, to store.DestinationRow, items []store.ItemsRow) label.Label {
	l := label.Label{
		Carrier: carrier, TrackingNumber: trackingNumber(in.OrderID), OrderNumber: to.Number, Date: in.OccurredAt,
		To: label.Address{
			Name: to.Name, Line1: to.Line1, Line2: to.Line2, City: to.City, PostalCode: to.PostalCode, Country: to.Country,
		},
	}
	for _, item := range items {
		l.Items = append(l.Items, label.Item{SKU: item.Sku, Name: item.Name, Quantity: int(item.Quantity)})
	}
	return l
}

func shipped(order events.InventoryUpdated, tracking string) events.OrderShipped {
	return events.OrderShipped{
		OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total,
		Carrier: carrier, TrackingNumber: tracking,
	}
}

func cancelled(order events.InventoryUpdated, reason events.Reason) events.OrderCancelled {
	return events.OrderCancelled{
		OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total, Reason: reason,
	}
}
