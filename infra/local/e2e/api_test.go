package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/shared/payment"
)

const (
	visa     = "pm_card_visa"
	declined = "pm_card_visa_chargeDeclined"
)

// TestShop is everything a customer and an operator can see of a system that runs.
func TestShop(t *testing.T) {
	s := startSystem(t)
	s.await(t, s.place(t, basket(visa, line{"TEA-SENCHA", 1})), "shipped", 20*time.Second) // warm
	for _, test := range []struct {
		name string
		run  func(*testing.T, *system)
	}{
		{"an order ships", orderShips},
		{"a declined card", cardDeclined},
		{"more than in stock", outOfStock},
		{"the same key twice", sameKeyTwice},
		{"cancelled in time", cancelledInTime},
		{"taken back", takenBack},
		{"hostile input", hostileInput},
		{"the back office", backOffice},
		{"label", labelCanBeScanned},
		{"kafka", kafkaHasEvents},
		{"phone", func(t *testing.T, s *system) { onScreen(t, s, phone()) }},
		{"desktop", func(t *testing.T, s *system) { onScreen(t, s, desktop()) }},
		{"dark phone", func(t *testing.T, s *system) { pagesInTheDark(t, s, phone()) }},
		{"dark desktop", func(t *testing.T, s *system) { pagesInTheDark(t, s, desktop()) }},
		{"keyboard only", keyboardOnly},
		{"without JavaScript", withoutJavaScript},
		{"memory", reportMemory},
		{"audit", func(t *testing.T, s *system) { s.audit(t) }},
		{"nothing personal", nothingPersonal},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func orderShips(t *testing.T, s *system) {
	began := time.Now()
	made := s.place(t, basket(visa, line{"COFFEE-FIRSTLIGHT", 2}, line{"TEA-KITCHEN", 1}))
	shipped := s.await(t, made, "shipped", 20*time.Second)
	took := time.Since(began)
	t.Logf("placed to shipped: %d ms", took.Milliseconds())
	if took > 3*time.Second {
		t.Errorf("the order ships after %s, want within 3 s", took)
	}
	want := []string{"order-placed", "payment-verified", "inventory-updated", "order-shipped"}
	if !slices.Equal(shipped.events(), want) || shipped.Payment == nil || shipped.Payment.State != "captured" {
		t.Errorf("the order tells of %v and payment %v, want %v and a captured one", shipped.events(), shipped.Payment, want)
	}
	mails := s.awaitMails(t, made, "order-placed", "order-shipped")
	for change, mail := range mails {
		for _, text := range []string{mail.Text, mail.HTML} {
			if !strings.Contains(text, made.Number) || !strings.Contains(text, s.shop("/orders/"+made.ID)) {
				t.Errorf("the mail of %s lacks the order's number or the link to it:\n%s", change, text)
			}
		}
		if len(mail.To) != 1 || mail.To[0].Email != customerEmail {
			t.Errorf("the mail of %s goes to %v", change, mail.To)
		}
	}
	localtest.Eventually(t, "SendGrid has told that both mails arrived", 10*time.Second, func() bool {
		var delivered int
		err := s.database(t).QueryRow(t.Context(), `select count(*) from mail_events e
			join notifications n using (order_id, change, message_id)
			where e.order_id = $1 and e.kind = 'delivered'`, made.ID).Scan(&delivered)
		return err == nil && delivered == len(mails)
	})
	if !strings.Contains(mails["order-shipped"].Text, shipped.Shipment.TrackingNumber) {
		t.Errorf("the mail lacks the tracking number:\n%s", mails["order-shipped"].Text)
	}
}

func cardDeclined(t *testing.T, s *system) {
	made := s.place(t, basket(declined, line{"TEA-SENCHA", 1}))
	ended := s.await(t, made, "cancelled", 10*time.Second)
	if ended.CancelReason != "payment_declined" {
		t.Errorf("cancelled for %s, want payment_declined", ended.CancelReason)
	}
	s.awaitMails(t, made, "order-cancelled")
	if state := s.paymentState(t, made); state != payment.StateDeclined {
		t.Errorf("the provider has a payment that is %s", state)
	}
}

func outOfStock(t *testing.T, s *system) {
	before := s.available(t, "COFFEE-KONGA")
	made := s.place(t, basket(visa, line{"COFFEE-KONGA", 1}, line{"TABLE-QUINCE", 1000}))
	ended := s.await(t, made, "cancelled", 10*time.Second)
	if ended.CancelReason != "out_of_stock" {
		t.Errorf("cancelled for %s, want out_of_stock", ended.CancelReason)
	}
	localtest.Eventually(t, "the payment is voided", 10*time.Second, func() bool {
		return s.paymentState(t, made) == payment.StateVoided
	})
	// Stock cancels an order moments after its payment: the confirmation may have
	// been overtaken, and is left out then.
	found := s.awaitMail(t, made, "order-cancelled")
	delete(found, "order-placed")
	if len(found) != 1 {
		t.Errorf("mails %v, want that of the cancellation and at most a confirmation", found)
	}
	if after := s.available(t, "COFFEE-KONGA"); after != before {
		t.Errorf("%d of the article that was there are left, want %d", after, before)
	}
}

func sameKeyTwice(t *testing.T, s *system) {
	body, key := basket(visa, line{"TEA-LAMPOUT", 1}), []string{"Idempotency-Key", "e2e-" + t.Name()}
	first, second := s.place(t, body, key...), s.place(t, body, key...)
	if first.ID != second.ID || first.Token != second.Token {
		t.Errorf("two orders, %s and %s, from one key", first.ID, second.ID)
	}
	if other := s.post(t, basket(visa, line{"TEA-LAMPOUT", 2}), key...); other.status != http.StatusConflict {
		t.Errorf("the same key with another body: status %d, want 409", other.status)
	}
	s.await(t, first, "shipped", 10*time.Second)
	s.awaitMails(t, first, "order-placed", "order-shipped")
}

// cancelledInTime holds the stage that ships, so that there is time.
func cancelledInTime(t *testing.T, s *system) {
	resume := s.pause(t, "shipment-preparation")
	made := s.place(t, basket(visa, line{"BREW-DRIPPER", 1}))
	s.await(t, made, "inventory_updated", 10*time.Second)
	s.awaitMails(t, made, "order-placed") // else it might be overtaken
	cancel := s.shop("/api/orders/" + made.ID + "/cancel")
	if answer := call(t, http.MethodPost, cancel, nil, "Authorization", "Bearer "+made.Token[:len(made.Token)-1]); answer.status != http.StatusNotFound {
		t.Errorf("cancelling with another token: status %d, want 404", answer.status)
	}
	if answer := call(t, http.MethodPost, cancel, nil, "Authorization", "Bearer "+made.Token); answer.status != http.StatusAccepted {
		t.Fatalf("cancelling: status %d, %s", answer.status, answer.body)
	}
	resume()
	ended := s.await(t, made, "cancelled", 10*time.Second)
	if ended.CancelReason != "customer_request" {
		t.Errorf("cancelled for %s, want customer_request", ended.CancelReason)
	}
	localtest.Eventually(t, "the payment is voided", 10*time.Second, func() bool {
		return s.paymentState(t, made) == payment.StateVoided
	})
	s.awaitMails(t, made, "order-placed", "order-cancelled")

	shipped := s.place(t, basket(visa, line{"BREW-DRIPPER", 1}))
	s.await(t, shipped, "shipped", 10*time.Second)
	late := call(t, http.MethodPost, s.shop("/api/orders/"+shipped.ID+"/cancel"), nil, "Authorization", "Bearer "+shipped.Token)
	if late.status != http.StatusConflict {
		t.Errorf("cancelling a shipped order: status %d, want 409", late.status)
	}
}

// available is how many of an article the shop says it has.
// takenBack has an operator take back a part of what was shipped, and make good for
// the rest.
func takenBack(t *testing.T, s *system) {
	made := s.place(t, basket(visa, line{"COFFEE-KONGA", 2}))
	s.await(t, made, "shipped", 20*time.Second)
	before := s.available(t, "COFFEE-KONGA")
	takeBack := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), bin("orderflow"), append([]string{"take-back", made.Number, "--by=e2e"}, args...)...)
		command.Env = os.Environ()
		for name, value := range s.env {
			command.Env = append(command.Env, name+"="+value)
		}
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("take back %v: %v: %s", args, err, said)
		}
	}
	for range 2 { // entered twice
		takeBack("--line=COFFEE-KONGA=1", "--refund=5.00", "--reason=not_wanted", "--reference="+made.Number+"/1")
	}
	takeBack("--refund=1", "--reason=goodwill", "--reference="+made.Number+"/2")
	localtest.Eventually(t, "the money and the unit are back", 20*time.Second, func() bool {
		var refunded int64
		err := s.database(t).QueryRow(t.Context(), `select refunded_amount from payments where order_id = $1`, made.ID).Scan(&refunded)
		return err == nil && refunded == 600
	})
	if after := s.available(t, "COFFEE-KONGA"); after != before+1 {
		t.Errorf("%d of the article are there, want %d", after, before+1)
	}
	s.awaitMail(t, made, "order-returned/2")
	if shown := s.read(t, made); shown.Status != "shipped" || !slices.Contains(shown.events(), "order-returned/1") {
		t.Errorf("the order is %s and tells of %v", shown.Status, shown.events())
	}
}

func (s *system) available(t *testing.T, sku string) int {
	t.Helper()
	var products []struct {
		SKU       string `json:"sku"`
		Available int    `json:"available"`
	}
	call(t, http.MethodGet, s.shop("/api/products"), nil).decode(t, &products)
	for _, product := range products {
		if product.SKU == sku {
			return product.Available
		}
	}
	t.Fatalf("no product %s", sku)
	return 0
}

// paymentState asks the provider, not us.
func (s *system) paymentState(t *testing.T, made accepted) payment.State {
	t.Helper()
	provider := payment.NewClient(s.env["PAYMENT_PROVIDER_URL"], s.env["PAYMENT_PROVIDER_KEY"], nil)
	found, err := provider.Find(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found.State
}

// backOffice compares the figures before and after three orders.
func backOffice(t *testing.T, s *system) {
	if answer := call(t, http.MethodGet, s.env["BACKOFFICE_URL"]+"/api/analytics/summary", nil); answer.status != http.StatusUnauthorized {
		t.Errorf("figures without a token: status %d, want 401", answer.status)
	}
	before := s.settledTotals(t)
	shipped := s.place(t, basket(visa, line{"TABLE-HONEY", 3}))
	none := s.place(t, basket(declined, line{"TABLE-HONEY", 1}))
	s.await(t, shipped, "shipped", 10*time.Second)
	s.await(t, none, "cancelled", 10*time.Second)
	localtest.Eventually(t, "the figures tell of both orders", 10*time.Second, func() bool {
		now := s.totals(t)
		return now.Placed == before.Placed+2 && now.Shipped == before.Shipped+1 &&
			now.Cancelled["payment_declined"] == before.Cancelled["payment_declined"]+1 &&
			now.Sold["TABLE-HONEY"] == before.Sold["TABLE-HONEY"]+3 &&
			now.Revenue[shipped.Total.Currency] == before.Revenue[shipped.Total.Currency]+shipped.Total.Amount
	})
}

// settledTotals waits until what earlier orders have been counts in the figures.
func (s *system) settledTotals(t *testing.T) (settled totals) {
	t.Helper()
	db := s.database(t)
	localtest.Eventually(t, "the figures tell of all orders so far", 20*time.Second, func() bool {
		settled = s.totals(t)
		ended := settled.Shipped
		for _, cancelled := range settled.Cancelled {
			ended += cancelled
		}
		var orders int64
		err := db.QueryRow(t.Context(), `select count(*) from orders`).Scan(&orders)
		return err == nil && settled.Placed == orders && ended == orders
	})
	return settled
}

type totals struct {
	Placed    int64            `json:"orders_placed"`
	Shipped   int64            `json:"orders_shipped"`
	Cancelled map[string]int64 `json:"orders_cancelled"`
	Sold      map[string]int64 `json:"items_sold"`
	Revenue   map[string]int64 `json:"revenue"`
}

func (s *system) totals(t *testing.T) totals {
	t.Helper()
	answer := call(t, http.MethodGet, s.env["BACKOFFICE_URL"]+"/api/analytics/summary", nil,
		"Authorization", "Bearer "+s.env["BACKOFFICE_TOKEN"])
	var summary struct {
		Totals    totals           `json:"totals"`
		PerMinute []map[string]any `json:"per_minute"`
		PerHour   []map[string]any `json:"per_hour"`
	}
	answer.decode(t, &summary)
	if len(summary.PerMinute) == 0 || len(summary.PerHour) == 0 {
		t.Fatalf("no figures by minute or hour: %.300s", answer.body)
	}
	return summary.Totals
}
