package function_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-analytics"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	lines := []events.Line{
		{SKU: "LAMP", Quantity: 2, UnitPrice: events.Money{Amount: 1250, Currency: "EUR"}},
		{SKU: "CUP", Quantity: 3, UnitPrice: events.Money{Amount: 800, Currency: "EUR"}},
	}
	total := events.Money{Amount: 4900, Currency: "EUR"}
	for _, test := range []struct {
		data events.Data
		want []function.Count
	}{
		{events.OrderPlaced{Lines: lines, Total: total}, []function.Count{{Metric: "orders_placed", Value: 1}}},
		{events.PaymentVerified{Lines: lines, Total: total}, nil},
		{events.InventoryUpdated{Lines: lines, Total: total}, nil},
		{events.OrderShipped{Lines: lines, Total: total}, []function.Count{
			{Metric: "orders_shipped", Value: 1},
			{Metric: "revenue", Dimension: "EUR", Value: 4900},
			{Metric: "items_sold", Dimension: "LAMP", Value: 2},
			{Metric: "items_sold", Dimension: "CUP", Value: 3},
		}},
		{events.OrderCancelled{Lines: lines, Total: total, Reason: events.ReasonOutOfStock}, []function.Count{
			{Metric: "orders_cancelled", Dimension: "out_of_stock", Value: 1},
		}},
		{events.OrderReturned{
			Lines:  []events.ReturnedLine{{SKU: "CUP", Quantity: 1, Restocked: true}, {SKU: "CUP", Quantity: 1}, {SKU: "LAMP", Quantity: 2, Restocked: true}},
			Refund: events.Money{Amount: 850, Currency: "EUR"}, Total: total,
		}, []function.Count{
			{Metric: "refunded", Dimension: "EUR", Value: 850},
			{Metric: "items_returned", Dimension: "CUP", Value: 2},
			{Metric: "items_returned", Dimension: "LAMP", Value: 2},
		}},
	} {
		if diff := cmp.Diff(test.want, function.Counts(test.data)); diff != "" {
			t.Errorf("Counts(%T) (-want +got):\n%s", test.data, diff)
		}
	}
}

// Every event of the catalogue is one that Counts has been told about: a new
// one is to be added above, counted or not.
func TestEveryEventIsDecidedOn(t *testing.T) {
	t.Parallel()
	if known := len(events.Catalog()); known != 6 {
		t.Errorf("the catalogue has %d events, TestCounts knows 6", known)
	}
}
