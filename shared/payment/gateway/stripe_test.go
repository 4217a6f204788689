package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
)

// Who checks the requests refuses some.
func TestMockRefuses(t *testing.T) {
	t.Parallel()
	const form = "amount=1250&currency=eur&capture_method=manual&payment_method_types[0]=card&metadata[order_id]=o1"
	for body, want := range map[string]int{
		form:                                     http.StatusOK,
		strings.Replace(form, "1250", "much", 1): http.StatusBadRequest,
		strings.Replace(form, "manual", "always", 1): http.StatusBadRequest,
		form + "&order=o1":                           http.StatusBadRequest,
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/payment_intents", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if status, said, err := show(r, []byte(body)); err != nil || status != want {
			t.Errorf("stripe-mock answers %d to %s, want %d (%v): %s", status, body, want, err, said)
		}
	}
}

// wire is what was asked of Stripe: method and path, key and parameters.
type wire struct {
	mu   sync.Mutex
	seen []string
}

func listen(server *stripetest.Server) *wire {
	w, check := &wire{}, server.Check
	server.Check = func(r *http.Request, body []byte) {
		check(r, body)
		form, err := url.ParseQuery(string(body))
		if err != nil {
			form = url.Values{"unreadable": {err.Error()}}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), shown(form))))
	}
	return w
}

// shown leaves out what is only asked to be shown.
func shown(form url.Values) string {
	for name := range form {
		if strings.HasPrefix(name, "expand[") {
			form.Del(name)
		}
	}
	text, _ := url.QueryUnescape(form.Encode())
	return text
}

func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// TestOnTheWire looks at the requests: a first authorisation is two, and whatever
// else the first of them finds out is asked no second time.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	const opened = "POST /v1/payment_intents orderflow/o1/open/1 amount=1250&capture_method=manual&currency=eur&metadata[order_id]=o1&payment_method_types[0]=card"
	const asked = "GET /v1/payment_intents/pi_1"
	w, server := openStripe(t)
	seen := listen(server)
	for _, test := range []struct {
		step string
		want []string
	}{
		{"authorise", []string{opened, "POST /v1/payment_intents/pi_1/confirm orderflow/o1/confirm/1 error_on_requires_action=true&payment_method=pm_card_visa"}},
		{"authorise", []string{opened, asked}},
		{"capture", []string{opened, asked, "POST /v1/payment_intents/pi_1/capture orderflow/o1/capture/1"}},
		{"capture", []string{opened, asked}},
		{"refund", []string{opened, asked, "POST /v1/refunds orderflow/o1/refund/1 metadata[order_id]=o1&payment_intent=pi_1", asked}},
		{"refund", []string{opened, asked}},
	} {
		w.do(t, test.step, "o1", visa)
		if diff := cmp.Diff(test.want, seen.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.step, diff)
		}
	}
	w.do(t, "authorise", "o2", visa)
	seen.take()
	w.do(t, "void", "o2", visa)
	want := "POST /v1/payment_intents/pi_2/cancel orderflow/o2/cancel/1 cancellation_reason=requested_by_customer"
	if got := seen.take(); len(got) != 3 || got[2] != want {
		t.Errorf("void: %q, want it to end in %q", got, want)
	}
}

// Stripe keeps a 500 for the key and gives it again for a day. That holds nobody up,
// and moves nothing twice, whether or not it had an effect.
func TestFailureIsKept(t *testing.T) {
	t.Parallel()
	steps := []struct {
		step, path string
		moved      []payment.Kind
	}{
		{"authorise", "/v1/payment_intents", []payment.Kind{authorise}},
		{"authorise", "/v1/payment_intents/*/confirm", []payment.Kind{authorise}},
		{"capture", "/v1/payment_intents/*/capture", []payment.Kind{authorise, captured}},
		{"void", "/v1/payment_intents/*/cancel", []payment.Kind{authorise, void}},
		{"refund", "/v1/refunds", []payment.Kind{authorise, captured, refund}},
	}
	for _, test := range steps {
		for _, effect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, effect %t", strings.TrimPrefix(test.path, "/v1/"), effect), func(t *testing.T) {
				t.Parallel()
				w, server := openStripe(t)
				for i, earlier := range []string{"authorise", "capture"} {
					if len(test.moved) > i+1 && test.moved[i] != void && (i == 0 || test.step == "refund") {
						w.do(t, earlier, "o1", visa)
					}
				}
				server.Break(test.path, effect)
				if _, err := w.call(t.Context(), test.step, "o1", visa); !payment.Temporary(err) {
					t.Fatalf("%s when Stripe fails = %v, want an error that isn't final", test.step, err)
				}
				first := w.do(t, test.step, "o1", visa)
				if again := w.do(t, test.step, "o1", visa); again != first {
					t.Errorf("%s again = %+v, first %+v", test.step, again, first)
				}
				w.wantMoved(t, "o1", test.moved...)
				if end := w.do(t, "void", "o1", ""); end.Secured() || w.left(t, "o1") != 0 {
					t.Errorf("released = %+v with %v", end, w.kinds(t, "o1"))
				}
			})
		}
	}
}

// A day later Stripe has forgotten all keys. The order's payment is found, by
// whatever call comes first, also if that one is interrupted and made again.
func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	old := func(method string) payment.AuthoriseRequest {
		r := request("o1", method)
		r.PlacedAt = r.PlacedAt.Add(-25 * time.Hour)
		return r
	}
	tests := map[string]struct {
		before []string
		call   func(t *testing.T, w world) (payment.Payment, error)
		want   payment.State
		moved  []payment.Kind
	}{
		"authorise": {[]string{"authorise"}, func(t *testing.T, w world) (payment.Payment, error) { return w.Authorise(t.Context(), old(visa)) }, payment.StateAuthorised, []payment.Kind{authorise}},
		"capture":   {[]string{"authorise"}, func(t *testing.T, w world) (payment.Payment, error) { return w.Capture(t.Context(), order("o1")) }, payment.StateCaptured, []payment.Kind{authorise, captured}},
		"void":      {[]string{"authorise"}, func(t *testing.T, w world) (payment.Payment, error) { return w.Release(t.Context(), order("o1")) }, payment.StateVoided, []payment.Kind{authorise, void}},
		"refund":    {[]string{"authorise", "capture"}, func(t *testing.T, w world) (payment.Payment, error) { return w.Release(t.Context(), order("o1")) }, payment.StateRefunded, []payment.Kind{authorise, captured, refund}},
		"released":  {[]string{"void"}, func(t *testing.T, w world) (payment.Payment, error) { return w.Authorise(t.Context(), old(visa)) }, payment.StateDeclined, nil},
		"first try": {nil, func(t *testing.T, w world) (payment.Payment, error) { return w.Authorise(t.Context(), old(visa)) }, payment.StateAuthorised, []payment.Kind{authorise}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, server := openStripe(t)
			for _, step := range test.before {
				w.do(t, step, "o1", visa)
			}
			server.Advance(25 * time.Hour)
			// Its first try gets no further than to open another PaymentIntent.
			w.fault(t, `{"before":{"path":"/v1/payment_intents/search","status":500,"count":1}}`)
			if _, err := test.call(t, w); !payment.Temporary(err) {
				t.Fatalf("without a search: %v, want an error that isn't final", err)
			}
			for range 2 {
				if got, err := test.call(t, w); err != nil || got.State != test.want {
					t.Errorf("%s = %+v, %v, want it %s", name, got, err, test.want)
				}
			}
			w.wantMoved(t, "o1", test.moved...)
		})
	}
}

// An order that can't be older is looked for nowhere else: Stripe allows 20
// searches in a second.
func TestYoungOrderIsNotSearchedFor(t *testing.T) {
	t.Parallel()
	w, _ := openStripe(t)
	w.fault(t, `{"before":{"path":"/v1/payment_intents/search","status":429}}`)
	w.do(t, "authorise", "o1", visa)
	w.do(t, "capture", "o1", "")
	w.do(t, "refund", "o1", "")
	w.do(t, "authorise", "o2", visa)
	w.do(t, "void", "o2", "")
}

// Stripe cancels by itself what was held for a week.
func TestHeldForAWeek(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	w.do(t, "authorise", "o1", visa)
	server.Advance(7*24*time.Hour + time.Minute)
	if late := w.do(t, "capture", "o1", ""); late.State != payment.StateVoided || !late.Expired || late.ClosedAt.IsZero() {
		t.Errorf("captured after a week = %+v, want it voided and expired", late)
	}
	w.wantMoved(t, "o1", authorise, void)
}

// Whoever only looks learns how the payment stands, of this order alone, and moves
// nothing.
func TestLook(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	held, other := w.do(t, "authorise", "o1", visa), w.do(t, "authorise", "o2", visa)
	client, order := server.Connect(t), payment.Order{ID: "o1", Total: held.Amount}
	if got, err := client.Look(t.Context(), order, held.ID); err != nil || got.State != payment.StateAuthorised {
		t.Errorf("Look() = %+v, %v, want it authorised", got, err)
	}
	for _, id := range []string{other.ID, "pi_unknown"} {
		if got, err := client.Look(t.Context(), order, id); err == nil {
			t.Errorf("Look() at %q = %+v, want an error", id, got)
		}
	}
	w.wantMoved(t, "o1", authorise)
	server.Dashboard(t, "o1", "cancel")
	if got, err := client.Look(t.Context(), order, held.ID); err != nil || got.State != payment.StateVoided {
		t.Errorf("Look() = %+v, %v, want it voided", got, err)
	}
}

// What people do in Stripe's dashboard is understood from the PaymentIntent's state.
func TestDashboard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before []string
		by     string
		step   string
		want   payment.State
	}{
		"cancelled, then captured":  {[]string{"authorise"}, "cancel", "capture", payment.StateVoided},
		"cancelled, then verified":  {[]string{"authorise"}, "cancel", "authorise", payment.StateVoided},
		"captured, then captured":   {[]string{"authorise"}, "capture", "capture", payment.StateCaptured},
		"captured, then released":   {[]string{"authorise"}, "capture", "void", payment.StateRefunded},
		"refunded, then released":   {[]string{"authorise", "capture"}, "refund", "refund", payment.StateRefunded},
		"refunded, then captured":   {[]string{"authorise", "capture"}, "refund", "capture", payment.StateRefunded},
		"declined, then cancelled":  {[]string{"declined"}, "cancel", "authorise", payment.StateDeclined},
		"declined and is released":  {[]string{"declined"}, "cancel", "void", payment.StateDeclined},
		"cancelled before all else": {[]string{"unknown"}, "cancel", "authorise", payment.StateDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, server := openStripe(t)
			for _, step := range test.before {
				method := map[string]string{"declined": "pm_card_chargeDeclinedExpiredCard", "unknown": "pm_card_nobody"}[step]
				if method == "" {
					w.do(t, step, "o1", visa)
				} else if _, err := w.call(t.Context(), "authorise", "o1", method); err != nil && !errors.Is(err, payment.ErrUnknownMethod) {
					t.Fatal(err)
				}
			}
			server.Dashboard(t, "o1", test.by)
			if got := w.do(t, test.step, "o1", visa); got.State != test.want {
				t.Errorf("%s = %+v, want it %s", test.step, got, test.want)
			}
		})
	}
}

// Nobody is there to act, so a card whose bank asks its holder is declined, and
// whatever Stripe was waiting for comes too late.
func TestHolderWouldHaveToAct(t *testing.T) {
	t.Parallel()
	for method, moved := range map[string][]payment.Kind{"pm_card_threeDSecure2Required": {decline}, "pm_card_asksItsHolder": nil} {
		w, _ := openStripe(t)
		for _, step := range []string{"authorise", "authorise", "void", "capture"} {
			got := w.do(t, step, "o1", method)
			if got.State != payment.StateDeclined || got.DeclineCode != "authentication_required" {
				t.Errorf("%s with %s = %+v", step, method, got)
			}
		}
		w.wantMoved(t, "o1", moved...)
	}
}

// Interrupted at any of its calls, a step that is made again gets to the same end.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		step, method, path string
		want               payment.State
	}{
		{"authorise", "pm_card_asksItsHolder", "/v1/payment_intents/*/cancel", payment.StateDeclined},
		{"authorise", "pm_card_asksItsHolder", "/v1/payment_intents/*", payment.StateDeclined},
		{"authorise", visa + "_chargeDeclined", "/v1/payment_intents/*", payment.StateDeclined},
		{"capture", "pm_card_chargeCustomerFail", "/v1/payment_intents/*/cancel", payment.StateDeclined},
		{"capture", "pm_card_chargeCustomerFail", "/v1/payment_intents/*", payment.StateDeclined},
		{"capture", "pm_card_lapses", "/v1/payment_intents/*/cancel", payment.StateVoided},
		{"refund", visa, "/v1/payment_intents/*", payment.StateRefunded},
	} {
		t.Run(test.step+" "+test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			w, _ := openStripe(t)
			switch test.step {
			case "refund":
				w.do(t, "authorise", "o1", test.method)
				w.do(t, "capture", "o1", test.method)
			case "capture":
				w.do(t, "authorise", "o1", test.method)
			}
			for range 2 {
				w.fault(t, fmt.Sprintf(`{"after":{"path":%q,"status":500,"count":1}}`, test.path))
				if p, err := w.call(t.Context(), test.step, "o1", test.method); err != nil && !payment.Temporary(err) || err == nil && p.State != test.want {
					t.Fatalf("interrupted: %+v, %v", p, err)
				}
			}
			w.fault(t, `{}`)
			if _, err := w.Find(t.Context(), order("o1")); err != nil { // whatever Stripe hasn't done with
				t.Errorf("asked in between: %v", err)
			}
			if got := w.do(t, test.step, "o1", test.method); got.State != test.want {
				t.Errorf("%s = %+v, want it %s", test.step, got, test.want)
			}
			if w.left(t, "o1") != 0 {
				t.Errorf("money is left: %v", w.kinds(t, "o1"))
			}
		})
	}
}

// A currency that Stripe counts in another unit than ISO 4217 is refused before
// anything is asked.
func TestCurrencies(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	for _, currency := range []string{"ISK", "UGX", "MGA"} {
		_, err := w.Authorise(t.Context(), payment.AuthoriseRequest{OrderID: "o1", Amount: events.Money{Amount: 1250, Currency: currency}, Method: visa})
		if payment.Temporary(err) || !errors.Is(err, payment.ErrRefused) {
			t.Errorf("%s: %v, want it refused", currency, err)
		}
	}
	if server.Intents("o1") != 0 {
		t.Error("a PaymentIntent was opened")
	}
}

// An error names Stripe's codes and the request, by which it is found in Stripe's
// dashboard, and not its message.
func TestErrorsNameTheRequest(t *testing.T) {
	t.Parallel()
	w, _ := openStripe(t)
	w.do(t, "authorise", "o1", visa)
	w.later()
	other := request("o1", visa)
	other.Amount.Currency = "USD"
	_, err := w.Authorise(t.Context(), other)
	const want = "authorise payment: stripe answers 400 idempotency_error, request req_of_tests"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// Somebody else moves the payment while a call is under way to Stripe. It is told of
// an unexpected state, asks, and ends as the other one has left it.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before     []string
		step, path string
		by         string
		want       payment.State
		moved      []payment.Kind
	}{
		{nil, "authorise", "/confirm", "cancel", payment.StateDeclined, nil},
		{[]string{"authorise"}, "capture", "/capture", "cancel", payment.StateVoided, []payment.Kind{authorise, void}},
		{[]string{"authorise"}, "capture", "/capture", "capture", payment.StateCaptured, []payment.Kind{authorise, captured}},
		{[]string{"authorise"}, "void", "/cancel", "cancel", payment.StateVoided, []payment.Kind{authorise, void}},
		{[]string{"authorise"}, "void", "/cancel", "capture", payment.StateRefunded, []payment.Kind{authorise, captured, refund}},
		{[]string{"authorise", "capture"}, "refund", "/v1/refunds", "refund", payment.StateRefunded, []payment.Kind{authorise, captured, refund}},
	} {
		t.Run(test.step+" by "+test.by, func(t *testing.T) {
			t.Parallel()
			w, server := openStripe(t)
			for _, step := range test.before {
				w.do(t, step, "o1", visa)
			}
			var once sync.Once
			check := server.Check
			server.Check = func(r *http.Request, body []byte) {
				check(r, body)
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, test.path) {
					once.Do(func() { server.Dashboard(t, "o1", test.by) })
				}
			}
			if got := w.do(t, test.step, "o1", visa); got.State != test.want {
				t.Errorf("%s = %+v, want it %s", test.step, got, test.want)
			}
			w.wantMoved(t, "o1", test.moved...)
		})
	}
}

// An earlier version of the code opened the order's PaymentIntent by the same key, in
// other words. It is found as soon as Stripe's search has it, and is the one that is
// paid with.
func TestOpenedInOtherWords(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	body := strings.NewReader("amount=1250&currency=eur&capture_method=manual&metadata[order_id]=o1&description=An+order")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/payment_intents", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+stripetest.Key)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Idempotency-Key", "orderflow/o1/open/1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := w.Authorise(t.Context(), request("o1", visa)); !payment.Temporary(err) {
		t.Fatalf("before the search has it: %v, want an error that isn't final", err)
	}
	w.later()
	if got := w.do(t, "authorise", "o1", visa); got.State != payment.StateAuthorised || server.Intents("o1") != 1 {
		t.Errorf("authorised = %+v with %d PaymentIntents", got, server.Intents("o1"))
	}
	w.do(t, "capture", "o1", "")
	w.wantMoved(t, "o1", authorise, captured)
}
