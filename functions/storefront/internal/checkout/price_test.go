package checkout_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
)

func euro(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }

func TestPrice(t *testing.T) {
	t.Parallel()
	catalogue := map[string]checkout.Article{
		"KETTLE": {SKU: "KETTLE", Price: euro(7900)},
		"CUP":    {SKU: "CUP", Price: euro(1)},
		"YEN":    {SKU: "YEN", Price: events.Money{Amount: 100, Currency: "JPY"}},
		"MOON":   {SKU: "MOON", Price: euro(math.MaxInt64)},
	}
	tests := map[string]struct {
		lines    []checkout.Line
		total    events.Money
		problems []string
	}{
		"one":              {[]checkout.Line{{"KETTLE", 1}}, euro(7900), nil},
		"sum":              {[]checkout.Line{{"KETTLE", 2}, {"CUP", 100_000}}, euro(115_800), nil},
		"not sold":         {[]checkout.Line{{"SAMOVAR", 1}, {"CUP", 1}}, euro(1), []string{"/lines/0/sku"}},
		"two currencies":   {[]checkout.Line{{"CUP", 1}, {"YEN", 1}}, euro(1), []string{"/lines/1"}},
		"too much of one":  {[]checkout.Line{{"MOON", 2}}, events.Money{Currency: "EUR"}, []string{"/lines/0"}},
		"too much in all":  {[]checkout.Line{{"MOON", 1}, {"CUP", 1}}, euro(math.MaxInt64), []string{"/lines/1"}},
		"several problems": {[]checkout.Line{{"A", 1}, {"B", 1}}, events.Money{}, []string{"/lines/0/sku", "/lines/1/sku"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, total, problems := checkout.Price(test.lines, catalogue)
			var at []string
			for _, p := range problems {
				at = append(at, p.Pointer)
			}
			if diff := cmp.Diff(test.problems, at); total != test.total || diff != "" {
				t.Errorf("Price = %s, want %s; problems (-want +got):\n%s", total, test.total, diff)
			}
		})
	}
}

// FuzzPrice holds the total to the sum of its lines: the event that tells of
// the order checks the same.
func FuzzPrice(f *testing.F) {
	f.Add(int64(980), 2, int64(7900), 1)
	f.Fuzz(func(t *testing.T, price1 int64, quantity1 int, price2 int64, quantity2 int) {
		catalogue := map[string]checkout.Article{"A1": {Price: euro(price1)}, "B1": {Price: euro(price2)}}
		lines, total, problems := checkout.Price([]checkout.Line{{"A1", quantity1}, {"B1", quantity2}}, catalogue)
		if len(problems) > 0 || quantity1 < 1 || quantity2 < 1 {
			return
		}
		if err := (events.OrderPlaced{OrderID: "x", Number: "x", Lines: lines, Total: total}).Validate(); err != nil {
			t.Errorf("Price makes an event that isn't valid: %v", err)
		}
	})
}
