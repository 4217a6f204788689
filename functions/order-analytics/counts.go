package function

import "github.com/orderflow-project/orderflow/events"

// Metric names what is counted.
type Metric string

// The metrics, and what they are counted by.
const (
	OrdersPlaced    Metric = "orders_placed"
	OrdersShipped   Metric = "orders_shipped"
	OrdersCancelled Metric = "orders_cancelled" // by reason
	ItemsSold       Metric = "items_sold"       // by SKU
	Revenue         Metric = "revenue"          // by currency, in minor units
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
	default:
		return nil
	}
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
