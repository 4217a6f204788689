package function_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// till is the function with a Stripe and a sink.
type till struct {
	*world
	stripe *stripetest.Server
	sink   *stagetest.Sink
}

func startTill(t *testing.T) *till {
	t.Helper()
	k := &till{stripe: stripetest.Start(t), sink: stagetest.NewSink(t)}
	variables := k.stripe.Environment()
	variables["K_SINK"] = k.sink.URL()
	k.world = start(t, variables)
	return k
}

// authorised is an order on its way whose money is held, as payment-verification
// leaves it.
func (k *till) authorised(status events.Status) (stagetest.Order, string) {
	k.tb.Helper()
	order := stagetest.Place(k.tb, k.pool, status)
	held, err := k.stripe.Connect(k.tb).Authorise(k.tb.Context(), payment.AuthoriseRequest{
		OrderID: order.ID.String(), Amount: order.Total, Method: stagetest.PaymentMethod, PlacedAt: time.Now(),
	})
	if err != nil {
		k.tb.Fatal(err)
	}
	if _, err := k.pool.Exec(k.tb.Context(), `insert into payments (order_id, provider_id, state, amount, currency, authorised_at)
		values ($1, $2, 'authorised', $3, $4, now())`, order.ID, held.ID, order.Total.Amount, order.Total.Currency); err != nil {
		k.tb.Fatal(err)
	}
	return order, held.ID
}

// event is one of Stripe's, with more in it than anybody is to keep.
func event(tb testing.TB, id, kind string, about object) []byte {
	tb.Helper()
	body, err := json.Marshal(object{
		"id": id, "object": "event", "api_version": "2026-03-25.dahlia", "created": 1_795_000_000, "type": kind, "livemode": false,
		"data": object{"object": about}, "request": object{"id": "req_1", "idempotency_key": "k"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func intent(order stagetest.Order, id, status string) object {
	return object{
		"id": id, "object": "payment_intent", "amount": order.Total.Amount, "currency": "eur", "status": status,
		"cancellation_reason": "automatic", "metadata": object{"order_id": order.ID.String()}, "receipt_email": "ada@example.com",
	}
}

func signature(body []byte, by string, at time.Time) http.Header {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: by, Timestamp: at})
	return http.Header{"Stripe-Signature": {signed.Header}}
}

func (k *till) tell(body []byte, want int) {
	k.tb.Helper()
	if got := k.post("/stripe", signature(body, secret, time.Now()), bytes.NewReader(body)).StatusCode; got != want {
		k.tb.Errorf("answered %d, want %d", got, want)
	}
}

func (k *till) cancelled(id string, order stagetest.Order, provider string, want int) {
	k.tb.Helper()
	k.tell(event(k.tb, id, "payment_intent.canceled", intent(order, provider, "canceled")), want)
}

func (k *till) wantStatus(order stagetest.Order, status events.Status, reason events.Reason) {
	k.tb.Helper()
	var got, why string
	if err := k.pool.QueryRow(k.tb.Context(), `select status, coalesce(cancel_reason, '') from orders where id = $1`, order.ID).Scan(&got, &why); err != nil {
		k.tb.Fatal(err)
	}
	if got != string(status) || why != string(reason) {
		k.tb.Errorf("the order is %s %s, want %s %s", got, why, status, reason)
	}
}

// told is what is on record of payments.
func (k *till) told() []string {
	k.tb.Helper()
	rows, err := k.pool.Query(k.tb.Context(), `select concat_ws(' ', event_id, type, provider_id, status, reason, amount, currency) from payment_events order by event_id`)
	if err != nil {
		k.tb.Fatal(err)
	}
	defer rows.Close()
	lines := []string{}
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			k.tb.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// A hold that Stripe gave up by itself, or somebody in its dashboard, ends its order
// as if the customer had cancelled it.
func TestHoldIsGone(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(k *till, order stagetest.Order){
		"it ran out":                 func(k *till, _ stagetest.Order) { k.stripe.Advance(8 * 24 * time.Hour) },
		"cancelled by the dashboard": func(k *till, order stagetest.Order) { k.stripe.Dashboard(k.tb, order.ID.String(), "cancel") },
	} {
		for _, status := range []events.Status{events.StatusPaymentVerified, events.StatusInventoryUpdated} {
			t.Run(name+", "+string(status), func(t *testing.T) {
				t.Parallel()
				k := startTill(t)
				order, provider := k.authorised(status)
				lose(k, order)
				for range 3 { // Stripe tells some things twice
					k.cancelled("evt_1", order, provider, http.StatusNoContent)
				}
				k.cancelled("evt_2", order, provider, http.StatusNoContent)
				k.wantStatus(order, events.StatusCancelled, events.ReasonPaymentExpired)
				if sent := k.sink.Sent(); len(sent) != 1 || sent[0].Sink != "order-cancelled" ||
					!strings.Contains(string(sent[0].Event.Data()), `"payment_expired"`) {
					t.Errorf("sent %v, want one cancellation", sent)
				}
				want := []string{
					fmt.Sprintf("evt_1 payment_intent.canceled %s canceled automatic 3300 EUR", provider),
					fmt.Sprintf("evt_2 payment_intent.canceled %s canceled automatic 3300 EUR", provider),
				}
				if diff := cmp.Diff(want, k.told()); diff != "" {
					t.Errorf("on record (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What a webhook says is not how things stand: Stripe is asked, and what is none of
// its business is left to who deals with it.
func TestHintsThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	held, heldID := k.authorised(events.StatusPaymentVerified)
	k.cancelled("evt_1", held, heldID, http.StatusNoContent)
	k.wantStatus(held, events.StatusPaymentVerified, "")

	captured, capturedID := k.authorised(events.StatusInventoryUpdated)
	k.stripe.Dashboard(t, captured.ID.String(), "capture")
	k.cancelled("evt_2", captured, capturedID, http.StatusNoContent)
	k.wantStatus(captured, events.StatusInventoryUpdated, "")

	waiting, waitingID := k.authorised(events.StatusPlaced)
	k.stripe.Dashboard(t, waiting.ID.String(), "cancel")
	k.cancelled("evt_3", waiting, waitingID, http.StatusNoContent)
	k.wantStatus(waiting, events.StatusPlaced, "")

	shipped, shippedID := k.authorised(events.StatusShipped)
	k.cancelled("evt_4", shipped, shippedID, http.StatusNoContent)
	k.wantStatus(shipped, events.StatusShipped, "")

	// Another PaymentIntent of the order's than the one that holds its money.
	other, _ := k.authorised(events.StatusPaymentVerified)
	k.cancelled("evt_5", other, "pi_other", http.StatusNoContent)
	k.wantStatus(other, events.StatusPaymentVerified, "")

	// Other events of a hold that is gone.
	gone, goneID := k.authorised(events.StatusPaymentVerified)
	k.stripe.Dashboard(t, gone.ID.String(), "cancel")
	for i, kind := range []string{"payment_intent.created", "payment_intent.amount_capturable_updated", "charge.expired"} {
		k.tell(event(t, fmt.Sprintf("evt_6%d", i), kind, intent(gone, goneID, "canceled")), http.StatusNoContent)
	}
	k.wantStatus(gone, events.StatusPaymentVerified, "")
	if told, sent := k.told(), k.sink.Sent(); len(told) != 8 || len(sent) > 0 {
		t.Errorf("on record: %q; sent: %v", told, sent)
	}
}

// Disputes and refunds come by the payment alone, weeks later, and are kept.
func TestDisputesAreKept(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	_, provider := k.authorised(events.StatusShipped)
	k.tell(event(t, "evt_1", "charge.dispute.created", object{
		"id": "dp_1", "object": "dispute", "payment_intent": provider, "charge": "ch_1", "amount": 3300, "currency": "eur",
		"status": "needs_response", "reason": "product_not_received", "evidence": object{"customer_email_address": "ada@example.com"},
	}), http.StatusNoContent)
	k.tell(event(t, "evt_2", "charge.refunded", object{
		"id": "ch_1", "object": "charge", "payment_intent": object{"id": provider, "object": "payment_intent"}, "amount": 3300,
		"amount_refunded": 1000, "currency": "eur", "status": "succeeded", "billing_details": object{"name": "Ada"},
	}), http.StatusNoContent)
	k.tell(event(t, "evt_3", "charge.dispute.closed", object{
		"id": "dp_1", "payment_intent": provider, "amount": -5, "currency": "Euro!", "status": "lost by ada@example.com", "reason": "Ada",
	}), http.StatusNoContent)
	want := []string{
		"evt_1 charge.dispute.created " + provider + " needs_response product_not_received 3300 EUR",
		"evt_2 charge.refunded " + provider + " succeeded  1000 EUR",
		"evt_3 charge.dispute.closed " + provider + "   0 ",
	}
	if diff := cmp.Diff(want, k.told()); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
}

// What isn't ours is taken, so that Stripe doesn't bring it for days, and left.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	order, provider := k.authorised(events.StatusPaymentVerified)
	stranger := stagetest.Order{ID: uuid.New()}
	for name, body := range map[string][]byte{
		"of another order":         event(t, "evt_1", "payment_intent.canceled", intent(stranger, "pi_x", "canceled")),
		"of no payment":            event(t, "evt_2", "charge.refunded", object{"id": "ch_1"}),
		"another type":             event(t, "evt_3", "customer.created", object{"id": "cus_1", "metadata": object{"order_id": order.ID.String()}}),
		"no id":                    event(t, "", "charge.refunded", object{"payment_intent": provider}),
		"an id that is none":       event(t, "evt 4", "charge.refunded", object{"payment_intent": provider}),
		"no data":                  []byte(`{"id":"evt_6","object":"event","type":"charge.refunded","created":1}`),
		"metadata of another kind": event(t, "evt_7", "charge.refunded", object{"payment_intent": provider, "metadata": []int{1}}),
		"no time":                  []byte(`{"id":"evt_8","object":"event","type":"charge.refunded","created":0,"data":{"object":{"payment_intent":"` + provider + `"}}}`),
	} {
		if got := k.post("/stripe", signature(body, secret, time.Now()), bytes.NewReader(body)).StatusCode; got != http.StatusNoContent {
			t.Errorf("%s: answered %d", name, got)
		}
	}
	if told := k.told(); len(told) > 0 {
		t.Errorf("on record: %q", told)
	}
}

func TestNotStripe(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	order, provider := k.authorised(events.StatusPaymentVerified)
	k.stripe.Dashboard(t, order.ID.String(), "cancel")
	body := event(t, "evt_1", "payment_intent.canceled", intent(order, provider, "canceled"))
	now := time.Now()
	const noObject = `{"id":"evt_5","object":"event","type":"charge.refunded","created":1,"data":{}}`
	good := signature(body, secret, now).Get("Stripe-Signature")
	for name, test := range map[string]struct {
		signature string
		body      []byte
		want      int
	}{
		"not signed":          {"", body, http.StatusForbidden},
		"by another secret":   {signature(body, "whsec_other", now).Get("Stripe-Signature"), body, http.StatusForbidden},
		"by no secret":        {signature(body, "", now).Get("Stripe-Signature"), body, http.StatusForbidden},
		"another body":        {good, bytes.Replace(body, []byte("canceled"), []byte("succeeded"), 1), http.StatusForbidden},
		"truncated":           {good, body[:len(body)-1], http.StatusForbidden},
		"stale":               {signature(body, secret, now.Add(-time.Hour)).Get("Stripe-Signature"), body, http.StatusForbidden},
		"no header of theirs": {"hello", body, http.StatusForbidden},
		"a time and no more":  {"t=1", body, http.StatusForbidden},
		"signed, no JSON":     {signature([]byte("{"), secret, now).Get("Stripe-Signature"), []byte("{"), http.StatusBadRequest},
		"signed, no event":    {signature([]byte("{}"), secret, now).Get("Stripe-Signature"), []byte("{}"), http.StatusBadRequest},
		"signed, no object":   {signature([]byte(noObject), secret, now).Get("Stripe-Signature"), []byte(noObject), http.StatusBadRequest},
	} {
		header := http.Header{"Stripe-Signature": {test.signature}}
		if got := k.post("/stripe", header, bytes.NewReader(test.body)).StatusCode; got != test.want {
			t.Errorf("%s: answered %d, want %d", name, got, test.want)
		}
	}
	k.wantStatus(order, events.StatusPaymentVerified, "")
	if told := k.told(); len(told) > 0 {
		t.Errorf("believed: %q", told)
	}
}

// While the endpoint's secret is changed, both are good, and Stripe signs by both.
func TestTwoSecrets(t *testing.T) {
	t.Parallel()
	stripe := stripetest.Start(t)
	variables := stripe.Environment()
	variables["STRIPE_WEBHOOK_SECRET"] = "whsec_before, whsec_after"
	k := &till{world: start(t, variables), stripe: stripe}
	_, provider := k.authorised(events.StatusShipped)
	for i, by := range []string{"whsec_before", "whsec_after"} {
		body := event(t, fmt.Sprintf("evt_%d", i), "charge.refunded", object{"payment_intent": provider})
		if got := k.post("/stripe", signature(body, by, time.Now()), bytes.NewReader(body)).StatusCode; got != http.StatusNoContent {
			t.Errorf("by %s it is answered %d", by, got)
		}
	}
	if told := k.told(); len(told) != 2 {
		t.Errorf("on record: %q", told)
	}
}

// Stripe that can't be asked, or a database that is away, has the event come again;
// a sink that is down doesn't: the cancellation is committed, and order-recovery
// sends it.
func TestOutages(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	order, provider := k.authorised(events.StatusPaymentVerified)
	k.stripe.Dashboard(t, order.ID.String(), "cancel")
	k.stripe.Fault(t, `{"before":{"status":500,"count":2}}`)
	for range 2 {
		k.cancelled("evt_1", order, provider, http.StatusServiceUnavailable)
		k.wantStatus(order, events.StatusPaymentVerified, "")
	}
	if told := k.told(); len(told) != 1 {
		t.Errorf("on record: %q", told)
	}
	k.sink.SetDown(true)
	k.cancelled("evt_1", order, provider, http.StatusNoContent)
	k.wantStatus(order, events.StatusCancelled, events.ReasonPaymentExpired)
	var unpublished int
	if err := k.pool.QueryRow(t.Context(), `select count(*) from order_events where order_id = $1 and source = 'provider-webhooks'
		and name = 'order-cancelled' and cause is null and published_at is null`, order.ID).Scan(&unpublished); err != nil || unpublished != 1 {
		t.Errorf("%d cancellations wait to be sent again (%v), want 1", unpublished, err)
	}
}

// The customer cancels at the same time: one of the two does, and one event is sent.
func TestCustomerCancelsToo(t *testing.T) {
	t.Parallel()
	k := startTill(t)
	order, provider := k.authorised(events.StatusPaymentVerified)
	k.stripe.Dashboard(t, order.ID.String(), "cancel")
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			if i == 4 {
				_, err := orderlog.Cancel(t.Context(), k.pool, order.ID, "storefront", events.ReasonCustomerRequest, "")
				if err != nil && !errors.Is(err, orderlog.ErrCancelled) {
					t.Error(err)
				}
				return
			}
			k.cancelled("evt_1", order, provider, http.StatusNoContent)
		})
	}
	group.Wait()
	var told int
	if err := k.pool.QueryRow(t.Context(), `select count(*) from order_events where order_id = $1 and name = 'order-cancelled'`, order.ID).Scan(&told); err != nil || told != 1 {
		t.Errorf("the order is cancelled %d times (%v)", told, err)
	}
	if sent := k.sink.Sent(); len(sent) > 1 {
		t.Errorf("sent %v", sent)
	}
}

// With the sandbox there is no Stripe that could send anything.
func TestNoStripeWithTheSandbox(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"sandbox":    {"PAYMENT_PROVIDER": "sandbox"},
		"no secret":  {"PAYMENT_PROVIDER": "stripe", "PAYMENT_PROVIDER_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": ""},
		"no default": {},
	} {
		w := start(t, settings)
		body := event(t, "evt_1", "charge.refunded", object{"id": "ch_1"})
		if got := w.post("/stripe", signature(body, secret, time.Now()), bytes.NewReader(body)).StatusCode; got != http.StatusNotFound {
			t.Errorf("%s: answered %d, want 404", name, got)
		}
	}
}
