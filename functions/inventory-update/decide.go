package function

import (
	"errors"

	"github.com/orderflow-project/orderflow/events"
)

// article is one line of the order and what there is of it. An order has each
// article once.
type article struct {
	sku               string
	wanted, available int
}

// errOtherLines says that the event is not about the order that was paid for.
var errOtherLines = errors.New("the event's lines are not the order's")

// agree holds the event against the order as it is stored: a reservation of
// more than was paid for would ship more than was paid for.
func agree(lines []events.Line, articles []article) error {
	ordered := map[string]int{}
	for _, a := range articles {
		ordered[a.sku] = a.wanted
	}
	if len(lines) != len(ordered) {
		return errOtherLines
	}
	for _, line := range lines {
		if ordered[line.SKU] != line.Quantity {
			return errOtherLines
		}
	}
	return nil
}

// shortages lists the articles of which there isn't enough. An order ships
// whole or not at all, so one of them is enough to cancel it.
func shortages(articles []article) []events.Shortage {
	var short []events.Shortage
	for _, a := range articles {
		if a.available < a.wanted {
			short = append(short, events.Shortage{SKU: a.sku, Wanted: a.wanted, Available: a.available})
		}
	}
	return short
}

func updated(order events.PaymentVerified) events.InventoryUpdated {
	return events.InventoryUpdated{OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total}
}

func outOfStock(order events.PaymentVerified, short []events.Shortage) events.OrderCancelled {
	return events.OrderCancelled{
		OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total,
		Reason: events.ReasonOutOfStock, Short: short,
	}
}
