package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
)

// FuzzAnswers has a provider say anything. Whatever it says, what comes of it is an
// error, or a payment of the order that was asked about, with what our books can
// hold. Nothing secured passes for released, and no error repeats a stranger's text.
func FuzzAnswers(f *testing.F) {
	const held = `{"id":"pay_1","order_id":"o1","state":"authorised","amount":{"amount":3300,"currency":"EUR"}}`
	const intent = `{"id":"pi_1","status":"requires_capture","amount":3300,"currency":"eur","metadata":{"order_id":"o1"}}`
	for _, stripe := range []bool{false, true} {
		for _, status := range []uint16{200, 400, 401, 402, 404, 409, 429, 500, 503} {
			for _, body := range []string{
				"", "null", "{}", "[]", "<html>", held, intent, held[:40], intent[:40], held + held,
				strings.Replace(held, "authorised", "who knows", 1), strings.Replace(held, "pay_1", `\u0000`, 1), strings.Replace(held, `"pay_1"`, "null", 1),
				strings.Replace(held, `"authorised"`, `"declined","decline_code":"\u0000 a stranger's text"`, 1), strings.Replace(held, "3300", "-1", 1),
				strings.Replace(held, "3300", "9223372036854775808", 1), strings.Replace(held, `"state"`, `"closed_at":"0000-01-01T00:00:00Z","state"`, 1),
				strings.Replace(intent, "requires_capture", "succeeded", 1), strings.Replace(intent, "requires_capture", "requires_payment_method", 1),
				strings.Replace(intent, `"metadata"`, `"latest_charge":{"id":"ch_1","refunded":true,"created":9223372036854775807},"metadata"`, 1),
				strings.Replace(intent, `"metadata"`, `"latest_charge":{"refunds":{"data":[null]}},"metadata"`, 1),
				`{"data":[null]}`, `{"error":{"type":"card_error","code":"card_declined","decline_code":"a stranger's text","message":"a stranger's text"}}`,
				`{"error":{"type":"invalid_request_error","param":"payment_method"}}`, `{"error":null}`, `{"error":"a stranger's text"}`, `{"code":"not_found","message":"a stranger's text"}`,
			} {
				f.Add(stripe, status, []byte(body))
			}
		}
	}
	var status int
	var said []byte
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(said)
	}))
	f.Cleanup(web.Close)
	providers := map[bool]payment.Provider{}
	for name, stripe := range map[string]bool{"sandbox": false, "stripe": true} {
		providers[stripe] = open(f, payment.Config{Provider: name, URL: web.URL, Key: stripetest.Key})
	}
	f.Fuzz(func(t *testing.T, stripe bool, code uint16, body []byte) {
		status, said = 200+int(code)%400, body
		order := payment.Order{ID: "o1", Total: events.Money{Amount: 3300, Currency: "EUR"}}
		for step, call := range map[string]func() (payment.Payment, error){
			"authorise": func() (payment.Payment, error) {
				return providers[stripe].Authorise(t.Context(), payment.AuthoriseRequest{OrderID: order.ID, Amount: order.Total, Method: visa})
			},
			"capture": func() (payment.Payment, error) { return providers[stripe].Capture(t.Context(), order) },
			"release": func() (payment.Payment, error) { return providers[stripe].Release(t.Context(), order) },
		} {
			if p, err := call(); err != nil {
				wantDiscreet(t, err, body)
			} else {
				wantPayment(t, step, p, body)
			}
		}
	})
}

func wantPayment(t *testing.T, step string, p payment.Payment, body []byte) {
	t.Helper()
	if p.OrderID != "o1" || p.State != payment.StateNone && !slices.Contains(payment.States(), p.State) {
		t.Errorf("%s: %q is taken for the payment %+v", step, body, p)
	}
	if step == "release" && p.Secured() {
		t.Errorf("%q is taken for a release: %+v", body, p)
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9_.-]{0,255}$`)
	if !plain.MatchString(p.ID) || !plain.MatchString(p.DeclineCode) {
		t.Errorf("%s: %q gives our books the id %q and the code %q", step, body, p.ID, p.DeclineCode)
	}
	if (p.State == payment.StateDeclined) != (p.DeclineCode != "") {
		t.Errorf("%s: %q is taken for a payment that is %s, with the code %q", step, body, p.State, p.DeclineCode)
	}
}

func wantDiscreet(t *testing.T, err error, body []byte) {
	t.Helper()
	if len(err.Error()) > 400 || strings.Contains(err.Error(), "stranger's") || strings.Contains(err.Error(), stripetest.Key) {
		t.Errorf("of %q the error says %v", body, err)
	}
}
