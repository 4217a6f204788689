package function

import (
	"errors"
	"net/mail"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
)

func TestNewsOf(t *testing.T) {
	t.Parallel()
	short := []events.Shortage{{SKU: "TEA", Wanted: 2, Available: 1}}
	back := []events.ReturnedLine{{SKU: "TEA", Quantity: 1}}
	for _, test := range []struct {
		data events.Data
		want letter.News
		tell bool
	}{
		{events.PaymentVerified{}, letter.News{Change: letter.Placed}, true},
		{events.OrderPlaced{}, letter.News{}, false},
		{events.InventoryUpdated{}, letter.News{}, false},
		{
			events.OrderShipped{Carrier: "Post", TrackingNumber: "T1"},
			letter.News{Change: letter.Shipped, Carrier: "Post", TrackingNumber: "T1"}, true,
		},
		{
			events.OrderCancelled{Reason: events.ReasonOutOfStock, Short: short},
			letter.News{Change: letter.Cancelled, Reason: events.ReasonOutOfStock, Short: short}, true,
		},
		{
			events.OrderReturned{ReturnNumber: 2, Reason: events.ReturnDamaged, Lines: back, Refund: events.Money{Amount: 5, Currency: "EUR"}},
			letter.News{Change: "order-returned/2", ReturnReason: events.ReturnDamaged, Returned: back, Refund: events.Money{Amount: 5, Currency: "EUR"}}, true,
		},
	} {
		news, tell := newsOf(test.data)
		if diff := cmp.Diff(test.want, news); diff != "" || tell != test.tell {
			t.Errorf("newsOf(%T) = %t (-want +got):\n%s", test.data, tell, diff)
		}
	}
}

func TestTimely(t *testing.T) {
	t.Parallel()
	const cancelled, known = superseded("the order is cancelled"), superseded("the customer knows that the order is shipped")
	for _, test := range []struct {
		change   letter.Change
		standing standing
		want     error
	}{
		{letter.Placed, standing{status: events.StatusPlaced}, nil},
		{letter.Placed, standing{status: events.StatusPaymentVerified}, nil},
		{letter.Placed, standing{status: events.StatusInventoryUpdated}, nil},
		{letter.Placed, standing{status: events.StatusShipped}, nil},
		{letter.Placed, standing{status: events.StatusPaymentVerified, confirming: true}, nil}, // by itself
		{letter.Placed, standing{status: events.StatusShipped, toldOfShipping: true}, known},
		{letter.Placed, standing{status: events.StatusCancelled}, cancelled},
		{letter.Placed, standing{status: events.StatusCancelled, confirming: true}, cancelled},
		{letter.Shipped, standing{status: events.StatusShipped}, nil},
		{letter.Shipped, standing{status: events.StatusShipped, toldOfShipping: true}, nil},
		{letter.Shipped, standing{status: events.StatusShipped, confirming: true}, errConfirming},
		{letter.Cancelled, standing{status: events.StatusCancelled}, nil},
		{letter.Cancelled, standing{status: events.StatusCancelled, confirming: true}, errConfirming},
	} {
		if got := timely(test.change, test.standing); !errors.Is(got, test.want) {
			t.Errorf("timely(%s, %+v) = %v, want %v", test.change, test.standing, got, test.want)
		}
	}
}

func TestDeliverable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"ada@example.com": true, "ada+shop@example.co.uk": true, "ädä@exämple.example": true,
		"": false, "ada": false, "ada@": false, "Ada <ada@example.com>": false, "ada@example.com, eve@example.com": false,
		"ada@example.com\r\nBcc: eve@example.com": false, " ada@example.com": false, "ada@example.com (hi)": false,
	} {
		if got := deliverable(text); got != want {
			t.Errorf("deliverable(%q) = %t", text, got)
		}
	}
}

func TestMailOf(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0198a0b0-1111-7222-8333-444455556666")
	to := mail.Address{Name: "Ada\r\nBcc: all@example.com", Address: "ada@example.com"}
	got := mailOf(letter.Placed, id, mail.Address{Name: "Shop", Address: "orders@shop.example"}, to, letter.Letter{Subject: "s", Text: "t", HTML: "h"})
	if strings.ContainsAny(got.To.Name, "\r\n:@") {
		t.Errorf("the recipient's name is %q", got.To.Name)
	}
	want := map[string]string{"order_id": id.String(), "change": "order-placed"}
	if diff := cmp.Diff(want, got.Args); diff != "" || got.Category != "order-placed" {
		t.Errorf("mailOf: category %q, args (-want +got):\n%s", got.Category, diff)
	}
}
