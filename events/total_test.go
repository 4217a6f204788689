package events_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderflow-project/orderflow/events"
)

// Lines at the edges of what numbers can hold: an order is valid exactly where its
// total is what the lines come to in numbers that have no edge. No sum wraps.
func TestTotalsNeverWrap(t *testing.T) {
	t.Parallel()
	prices := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.SampledFrom([]int64{0, 1, math.MaxInt32, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64}), rapid.Int64Range(0, math.MaxInt64))
	quantities := rapid.OneOf(rapid.IntRange(1, 5), rapid.SampledFrom([]int{1, 2, 100_000, math.MaxInt32, math.MaxInt32 + 1, math.MaxInt64}), rapid.IntRange(1, math.MaxInt64))
	rapid.Check(t, func(t *rapid.T) {
		order := events.OrderPlaced{OrderID: "o", Number: "n", Total: events.Money{Currency: "EUR"}}
		exact := new(big.Int)
		for i := range rapid.IntRange(1, 6).Draw(t, "lines") {
			line := events.Line{SKU: fmt.Sprintf("SKU-%d", i), Quantity: quantities.Draw(t, "quantity"), UnitPrice: events.Money{Amount: prices.Draw(t, "price"), Currency: "EUR"}}
			order.Lines = append(order.Lines, line)
			exact.Add(exact, new(big.Int).Mul(big.NewInt(line.UnitPrice.Amount), big.NewInt(int64(line.Quantity))))
		}
		// What 64 bits would have made of it, which is the total itself where it fits.
		order.Total.Amount = int64(new(big.Int).And(exact, new(big.Int).SetUint64(math.MaxUint64)).Uint64())
		if err := order.Validate(); (err == nil) != exact.IsInt64() {
			t.Fatalf("%+v comes to %s: Validate() = %v", order, exact, err)
		}
		if order.Total.Amount--; order.Validate() == nil {
			t.Fatalf("%+v comes to %s, and is valid", order, exact)
		}
	})
}
