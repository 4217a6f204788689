package page

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
)

func TestBasketHoldsWhatAnOrderCan(t *testing.T) {
	t.Parallel()
	var basket Basket
	for i := range 60 {
		basket = basket.Add("SKU-"+string(rune('A'+i%26))+string(rune('A'+i/26)), 1)
	}
	if len(basket) != checkout.MaxLines {
		t.Errorf("%d lines, want %d", len(basket), checkout.MaxLines)
	}
	full := Basket{}.Add("A1", checkout.MaxQuantity).Add("A1", checkout.MaxQuantity).Add("A1", -5)
	if full.Count() != checkout.MaxQuantity {
		t.Errorf("%d pieces, want %d", full.Count(), checkout.MaxQuantity)
	}
}

// FuzzBasketCookie reads any cookie without harm, and what it writes it reads again.
func FuzzBasketCookie(f *testing.F) {
	f.Add("BREW-KETTLE:1_TEA-SENCHA:2")
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "basket="+value)
		basket := readBasket(r)
		w := httptest.NewRecorder()
		basket.write(w, false)
		again := httptest.NewRequest("GET", "/", nil)
		for _, cookie := range w.Result().Cookies() {
			if cookie.MaxAge > 0 {
				again.AddCookie(cookie)
			}
		}
		for _, line := range readBasket(again) {
			if i := basket.index(line.SKU); i < 0 || basket[i].Quantity != line.Quantity {
				t.Errorf("cookie %q: wrote %v, read %v", value, basket, line)
			}
		}
	})
}

// Every state that an order can be in has words.
func TestStory(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, status := range events.Statuses() {
		if status != events.StatusCancelled {
			story := tell(order.View{Status: status})
			if story.Text.text == "" || seen[story.Heading.text] != "" {
				t.Errorf("story of %s: %+v, want its own", status, story)
			}
			seen[story.Heading.text] = string(status)
		}
	}
	for _, reason := range events.Reasons() {
		story := tell(order.View{Status: events.StatusCancelled, CancelReason: reason})
		if seen[story.Text.text] != "" || story.Money.text == "" {
			t.Errorf("story of %s: %+v, want its own", reason, story)
		}
		seen[story.Text.text] = string(reason)
	}
}

func TestMoneyOfACancelledOrder(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"authorised": "being released", "voided": "has been released", "captured": "being paid back",
		"refunded": "has been paid back", "declined": "Nothing was charged",
	} {
		view := order.View{Status: events.StatusCancelled, Payment: &order.Payment{State: state}}
		if got := tell(view).Money; !strings.Contains(got.text, want) {
			t.Errorf("money %s: %q, want %q", state, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	view := order.View{Status: events.StatusCancelled, Timeline: []order.Step{
		{Status: events.StatusPlaced, At: time.Unix(1, 0)}, {Status: events.StatusCancelled, At: time.Unix(2, 0)},
	}}
	var states []string
	for _, one := range steps(view) {
		states = append(states, one.State)
	}
	if got := strings.Join(states, " "); got != "done stopped" {
		t.Errorf("steps of a cancelled order: %s, want done stopped", got)
	}
	view.Status, view.Timeline = events.StatusPlaced, view.Timeline[:1]
	states = nil
	for _, one := range steps(view) {
		states = append(states, one.State)
	}
	if got := strings.Join(states, " "); got != "done current next next" {
		t.Errorf("steps of a new order: %s, want done current next next", got)
	}
}

// A return is a step of its own, and the parcel left when it left.
func TestStepsOfAReturn(t *testing.T) {
	t.Parallel()
	view := order.View{Status: events.StatusShipped, Total: events.Money{Amount: 3300, Currency: "EUR"}, Timeline: []order.Step{
		{Event: "order-shipped", Status: events.StatusShipped, At: time.Unix(1, 0)},
		{Event: "order-returned/1", Status: events.StatusShipped, At: time.Unix(2, 0), Refund: 1250},
		{Event: "order-returned/2", Status: events.StatusShipped, At: time.Unix(3, 0), Refund: 50},
	}}
	tongues, err := loadTongues()
	if err != nil {
		t.Fatal(err)
	}
	english := tongues[0]
	var told []string
	for _, one := range steps(view) {
		if one.Done() {
			told = append(told, fmt.Sprintf("%d %s %s", one.At.Unix(), english.say(one.Title), english.say(one.Text)))
		}
	}
	want := []string{
		"1 Handed to the carrier Packed, labelled, and out of the door.",
		"2 Taken back €12.50 goes back to your card.", "3 Taken back €0.50 goes back to your card.",
	}
	if !slices.Equal(told, want) {
		t.Errorf("steps: %q, want %q", told, want)
	}
	if got := english.say(tell(view).Money); got != "Your card was charged €33.00. €13.00 of it goes back to your card." {
		t.Errorf("money: %q", got)
	}
}
