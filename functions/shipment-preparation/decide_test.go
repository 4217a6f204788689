package function

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/label"
	"github.com/orderflow-project/orderflow/functions/shipment-preparation/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment"
)

func TestAgree(t *testing.T) {
	t.Parallel()
	total := events.Money{Amount: 300, Currency: "EUR"}
	items := []store.ItemsRow{{Sku: "A", Quantity: 2}, {Sku: "B", Quantity: 1}}
	for name, test := range map[string]struct {
		lines []events.Line
		total events.Money
		want  error
	}{
		"the same":          {[]events.Line{{SKU: "B", Quantity: 1}, {SKU: "A", Quantity: 2}}, total, nil},
		"more than ordered": {[]events.Line{{SKU: "A", Quantity: 3}, {SKU: "B", Quantity: 1}}, total, errOtherOrder},
		"one is missing":    {[]events.Line{{SKU: "A", Quantity: 2}}, total, errOtherOrder},
		"another article":   {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "C", Quantity: 1}}, total, errOtherOrder},
		"another total":     {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}, events.Money{Amount: 299, Currency: "EUR"}, errOtherOrder},
		"another currency":  {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}, events.Money{Amount: 300, Currency: "USD"}, errOtherOrder},
	} {
		got := agree(events.InventoryUpdated{Lines: test.lines, Total: test.total}, total, items)
		if !errors.Is(got, test.want) {
			t.Errorf("%s: agree() = %v, want %v", name, got, test.want)
		}
	}
}

func TestAllHeld(t *testing.T) {
	t.Parallel()
	if !allHeld([]store.ItemsRow{{Held: true}, {Held: true}}) {
		t.Error("allHeld(true, true) = false")
	}
	if allHeld([]store.ItemsRow{{Held: true}, {Held: false}}) {
		t.Error("allHeld(true, false) = true")
	}
}

func TestCheckCaptured(t *testing.T) {
	t.Parallel()
	total := events.Money{Amount: 300, Currency: "EUR"}
	for _, test := range []struct {
		answer payment.Payment
		fine   bool
	}{
		{payment.Payment{State: payment.StateCaptured, Amount: total}, true},
		{payment.Payment{State: payment.StateDeclined}, true},
		{payment.Payment{State: payment.StateVoided}, true},
		{payment.Payment{State: payment.StateRefunded}, true},
		{payment.Payment{State: payment.StateAuthorised, Amount: total}, false},
		{payment.Payment{State: payment.StateCaptured, Amount: events.Money{Amount: 200, Currency: "EUR"}}, false},
		{payment.Payment{State: payment.StateCaptured, Amount: events.Money{Amount: 300, Currency: "USD"}}, false},
	} {
		if err := checkCaptured(test.answer, total); (err == nil) != test.fine {
			t.Errorf("checkCaptured(%s %s) = %v, want it fine: %t", test.answer.State, test.answer.Amount, err, test.fine)
		}
	}
}

func TestTrackingNumber(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^OP[0-9]{22}$`)
	seen := map[string]bool{}
	for i := range 2000 {
		order := uuid.UUID{0: 1, 14: byte(i >> 8), 15: byte(i)}
		number := trackingNumber(order)
		if !form.MatchString(number) || seen[number] || number != trackingNumber(order) {
			t.Fatalf("trackingNumber(%s) = %q: wrong form, seen before, or another the second time", order, number)
		}
		seen[number] = true
	}
}

// The check digit finds every wrong digit.
func TestCheckDigit(t *testing.T) {
	t.Parallel()
	if got := checkDigit("0794"); got != '5' { // the standard's own example
		t.Errorf("checkDigit(0794) = %c, want 5", got)
	}
	number := trackingNumber(uuid.UUID{1})[2:]
	body, check := number[:trackingDigits], number[trackingDigits]
	for i := range body {
		for digit := byte('0'); digit <= '9'; digit++ {
			wrong := body[:i] + string(digit) + body[i+1:]
			if wrong != body && checkDigit(wrong) == check {
				t.Errorf("digit %d as %c passes for %s", i, digit, body)
			}
		}
	}
}

func TestLabelOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	order := uuid.UUID{1}
	got := labelOf(delivery{OrderID: order, OccurredAt: at, Now: at.Add(time.Hour)},
		store.DestinationRow{Number: "OF-1", Name: "Ada", Line1: "1", Line2: "2", City: "C", PostalCode: "P", Country: "DE"},
		[]store.ItemsRow{{Sku: "A", Name: "First", Quantity: 2}})
	want := label.Label{
		Carrier: carrier, TrackingNumber: trackingNumber(order), OrderNumber: "OF-1", Date: at,
		To:    label.Address{Name: "Ada", Line1: "1", Line2: "2", City: "C", PostalCode: "P", Country: "DE"},
		Items: []label.Item{{SKU: "A", Name: "First", Quantity: 2}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labelOf() (-want +got):\n%s", diff)
	}
}

func TestMissingSettings(t *testing.T) {
	t.Parallel()
	function := New()
	if err := function.Start(t.Context(), map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/none"}); err != nil {
		t.Fatal(err)
	}
	_, err := function.Ready(t.Context())
	for _, name := range []string{"PAYMENT_PROVIDER_URL", "PAYMENT_PROVIDER_KEY", "LABEL_BUCKET", "AWS_REGION"} {
		if err == nil || !strings.Contains(err.Error(), name+" is not set") {
			t.Errorf("Ready() = %v, want it to name %s", err, name)
		}
	}
	if err := function.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
