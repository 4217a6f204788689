package function

import (
	"slices"

	"github.com/orderflow-project/orderflow/events"
)

// Metric names what is counted.
type Metric string

// The metrics, and what they are counted by.
const (
	OrdersPlaced    Metric = "orders_placed"
	OrdersShipped   Metric = "orders_shipped"
	OrdersCancelled Metric = "orders_cancelled" // by reason
	ItemsSold       Metric = "items_sold"       // by SKU
	Revenue         Metric = "revenue"          // by currency, in minor units
	ItemsReturned   Metric = "items_returned"   // by SKU, damaged ones too
	Refunded        Metric = "refunded"         // by currency, in minor units
)

// Count is by how much an event raises one figure.
type Count struct {
	Metric    Metric
	Dimension string
	Value     int64
}

// Counts says by how much an event raises which figures. Goods are sold and
// money is earned when the parcel leaves: that is when the payment is captured.
func Counts(data events.Data) []Count {
	switch event := data.(type) {
	case events.OrderPlaced:
		return []Count{{Metric: OrdersPlaced, Value: 1}}
	case events.OrderShipped:
		return shipped(event)
	case events.OrderCancelled:
		return []Count{{Metric: OrdersCancelled, Dimension: string(event.Reason), Value: 1}}
	case events.OrderReturned:
		return returned(event)
	default:
		return nil
	}
}

// returned counts what a shipped order was given back for. What was sold stays sold:
// who wants to know what is left takes one from the other.
func returned(event events.OrderReturned) []Count {
	counts := []Count{{Metric: Refunded, Dimension: event.Refund.Currency, Value: event.Refund.Amount}}
	for _, line := range event.Lines {
		// Where some of it is damaged, an article has two lines, and one count.
		same := slices.IndexFunc(counts, func(c Count) bool { return c.Metric == ItemsReturned && c.Dimension == line.SKU })
		if same >= 0 {
			counts[same].Value += int64(line.Quantity)
			continue
		}
		counts = append(counts, Count{Metric: ItemsReturned, Dimension: line.SKU, Value: int64(line.Quantity)})
	}
	return counts
}

func shipped(event events.OrderShipped) []Count {
	counts := []Count{
		{Metric: OrdersShipped, Value: 1},
		{Metric: Revenue, Dimension: event.Total.Currency, Value: event.Total.Amount},
	}
	for _, line := range event.Lines {
		counts = append(counts, Count{Metric: ItemsSold, Dimension: line.SKU, Value: int64(line.Quantity)})
	}
	return counts
}
