package events_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderflow-project/orderflow/events"
)

func eur(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }

func TestMoneyArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64().Draw(t, "amount")
		quantity := rapid.IntRange(0, math.MaxInt32).Draw(t, "quantity")
		product, err := eur(amount).Times(quantity)
		fits := quantity == 0 || (amount <= math.MaxInt64/int64(quantity) && amount >= math.MinInt64/int64(quantity))
		if fits != (err == nil) {
			t.Fatalf("%d times %d: %v", amount, quantity, err)
		}
		if fits && quantity != 0 && product.Amount/int64(quantity) != amount {
			t.Fatalf("%d times %d = %d", amount, quantity, product.Amount)
		}
		other := rapid.Int64().Draw(t, "other")
		sum, err := eur(amount).Add(eur(other))
		wrapped := (other > 0) != (amount+other > amount) && other != 0
		if wrapped != errors.Is(err, events.ErrMoneyOverflow) {
			t.Fatalf("%d plus %d: %v", amount, other, err)
		}
		if err == nil && sum.Amount-other != amount {
			t.Fatalf("%d plus %d = %d", amount, other, sum.Amount)
		}
	})
}

func TestMoneyRefuses(t *testing.T) {
	t.Parallel()
	if _, err := eur(1).Add(events.Money{Amount: 1, Currency: "USD"}); err == nil {
		t.Error("EUR + USD was added")
	}
	if _, err := eur(1).Times(-1); err == nil {
		t.Error("money was multiplied by -1")
	}
}

func TestParseMoney(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]events.Money{
		"EUR 12.34": eur(1234), "EUR 12": eur(1200), "EUR 0.05": eur(5), "EUR 0": eur(0),
		"JPY 1200": {Amount: 1200, Currency: "JPY"}, "KWD 1.234": {Amount: 1234, Currency: "KWD"},
	} {
		currency, amount, _ := strings.Cut(text, " ")
		if got, err := events.ParseMoney(amount, currency); err != nil || got != want {
			t.Errorf("ParseMoney(%s) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"EUR ", "EUR .", "EUR .50", "EUR 12.", "EUR 12.3", "EUR 12.345", "EUR -1", "EUR +1", "EUR 1e3", "EUR 1,50", "EUR 1 000",
		"EUR 1.2.3", "EUR 99999999999999999999", "EUR 0x10", "JPY 12.00", "JPY 12.", "EUR １２",
	} {
		currency, amount, _ := strings.Cut(text, " ")
		if got, err := events.ParseMoney(amount, currency); !errors.Is(err, events.ErrNoMoney) || got != (events.Money{}) {
			t.Errorf("ParseMoney(%s) = %v, %v, want ErrNoMoney", text, got, err)
		}
	}
}

func ExampleMoney_String() {
	fmt.Println(eur(1250), eur(-5), events.Money{Amount: 1200, Currency: "JPY"}, events.Money{Amount: 1, Currency: "KWD"})
	// Output: EUR 12.50 EUR -0.05 JPY 1200 KWD 0.001
}

func TestValidate(t *testing.T) {
	t.Parallel()
	line := events.Line{SKU: "A-1", Quantity: 2, UnitPrice: eur(500)}
	good := events.OrderPlaced{OrderID: "id", Number: "n", Lines: []events.Line{line}, Total: eur(1000)}
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate() = %v for a good event", err)
	}
	for name, test := range map[string]struct {
		change func(*events.OrderPlaced)
		want   string
	}{
		"no order":       {func(e *events.OrderPlaced) { e.OrderID = "" }, "order_id: missing"},
		"no number":      {func(e *events.OrderPlaced) { e.Number = "" }, "number: missing"},
		"no lines":       {func(e *events.OrderPlaced) { e.Lines = nil }, "lines: empty"},
		"zero units":     {func(e *events.OrderPlaced) { e.Lines[0].Quantity = 0 }, "lines[0].quantity: 0 is not positive"},
		"a SKU twice":    {func(e *events.OrderPlaced) { e.Lines = append(e.Lines, line) }, `lines[1].sku: empty or twice: "A-1"`},
		"another total":  {func(e *events.OrderPlaced) { e.Total = eur(999) }, "total: EUR 9.99, but the lines come to EUR 10.00"},
		"mixed currency": {func(e *events.OrderPlaced) { e.Lines[0].UnitPrice.Currency = "USD" }, "different currencies"},
		"overflow":       {func(e *events.OrderPlaced) { e.Lines[0].UnitPrice.Amount = math.MaxInt64 }, "overflows"},
	} {
		bad := good
		bad.Lines = slices.Clone(good.Lines)
		test.change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, test.want)
		}
	}
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	for _, from := range events.Statuses() {
		if _, known := events.Transitions()[from]; !known {
			t.Errorf("%s is missing in the table", from)
		}
		if events.CanReach(from, from) {
			t.Errorf("%s reaches itself: an order could go round for ever", from)
		}
		if !from.Final() && !events.CanReach(from, events.StatusCancelled) {
			t.Errorf("%s can't be cancelled", from)
		}
		for _, to := range events.Statuses() {
			if events.CanMove(from, to) && !events.CanReach(from, to) {
				t.Errorf("%s moves to %s but doesn't reach it", from, to)
			}
		}
	}
	if !events.StatusShipped.Final() || !events.StatusCancelled.Final() || events.Status("lost").Final() || events.Status("lost").Valid() {
		t.Error("final or valid statuses are not as they should be")
	}
	if !events.CanReach(events.StatusPlaced, events.StatusShipped) || events.CanReach(events.StatusCancelled, events.StatusShipped) {
		t.Error("an order must be able to come from placed to shipped, and never from cancelled")
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	for _, e := range events.Catalog() {
		byType, ok := events.ByType(e.Type)
		byName, alsoOK := events.ByName(e.Name)
		if !ok || !alsoOK || byType.Name != e.Name || byName.Type != e.Type {
			t.Errorf("%s is not found by its type and name", e.Name)
		}
		if !strings.HasSuffix(e.Type, fmt.Sprintf(".v%d", e.Version)) || len(e.SentBy) == 0 || len(e.ReadBy) == 0 || !e.Status.Valid() {
			t.Errorf("entry %+v is incomplete", e)
		}
	}
}

func TestValidateReturned(t *testing.T) {
	t.Parallel()
	line := events.ReturnedLine{SKU: "A-1", Quantity: 2, Restocked: true}
	good := events.OrderReturned{
		OrderID: "id", Number: "n", ReturnNumber: 1, Reason: events.ReturnDamaged, Lines: []events.ReturnedLine{line}, Refund: eur(1000), Total: eur(1000),
	}
	goodwill, partly := good, good
	goodwill.Lines, goodwill.Refund = []events.ReturnedLine{}, eur(1)
	partly.Lines = []events.ReturnedLine{line, {SKU: "A-1", Quantity: 1}}
	for _, valid := range []events.OrderReturned{good, goodwill, partly} {
		if err := valid.Validate(); err != nil {
			t.Fatalf("Validate() = %v for a good event", err)
		}
	}
	for name, test := range map[string]struct {
		change func(*events.OrderReturned)
		want   string
	}{
		"no order":         {func(e *events.OrderReturned) { e.OrderID = "" }, "order_id: missing"},
		"no number":        {func(e *events.OrderReturned) { e.Number = "" }, "number: missing"},
		"the return none":  {func(e *events.OrderReturned) { e.ReturnNumber = 0 }, "return_number: 0 is not positive"},
		"no reason":        {func(e *events.OrderReturned) { e.Reason = "" }, "reason: missing"},
		"no word of lines": {func(e *events.OrderReturned) { e.Lines = nil }, "lines: missing"},
		"zero units":       {func(e *events.OrderReturned) { e.Lines[0].Quantity = 0 }, "lines[0].quantity: 0 is not positive"},
		"a SKU twice":      {func(e *events.OrderReturned) { e.Lines = append(e.Lines, line) }, "lines[1].sku: empty or twice"},
		"no refund":        {func(e *events.OrderReturned) { e.Refund = eur(0) }, "refund: EUR 0.00 is nothing"},
		"less than none":   {func(e *events.OrderReturned) { e.Refund = eur(-1) }, "refund: amount: -1 is less than nothing"},
		"more than paid":   {func(e *events.OrderReturned) { e.Refund = eur(1001) }, "more than the total"},
		"another currency": {func(e *events.OrderReturned) { e.Refund.Currency = "USD" }, "different currencies"},
	} {
		bad := good
		bad.Lines = slices.Clone(good.Lines)
		test.change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, test.want)
		}
	}
}

// What happens several times has a name for each time, and one topic.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		data        events.Data
		name, topic string
	}{
		{events.OrderPlaced{}, "order-placed", "order-placed"},
		{events.OrderReturned{ReturnNumber: 1}, "order-returned/1", "order-returned"},
		{events.OrderReturned{ReturnNumber: 12}, "order-returned/12", "order-returned"},
	} {
		name := events.NameOf(test.data)
		kind, known := events.ByName(name)
		if name != test.name || events.TopicOf(name) != test.topic || !known || kind.Type != test.data.Type() {
			t.Errorf("NameOf(%T) = %q on the topic %q, which is %+v", test.data, name, events.TopicOf(name), kind)
		}
	}
	for _, name := range []string{"", "order", "order-placed/1", "order-returned/0", "order-returned/-1", "order-returned/01", "order-returned/", "order-returned/1/1"} {
		if kind, known := events.ByName(name); known {
			t.Errorf("ByName(%q) = %+v", name, kind)
		}
	}
}
