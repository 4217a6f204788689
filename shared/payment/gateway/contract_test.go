package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/gateway"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/payment/stripe/stripetest"
)

// world is a provider as its configuration opens it, and what a test can do to it.
type world struct {
	payment.Provider

	// kinds are an order's movements, by the provider's own books.
	kinds func(tb testing.TB, orderID string) []payment.Kind
	fault func(tb testing.TB, plan string)
	// paths are where the money is moved, by step.
	paths map[string]string
	// lapsing is a payment method whose hold runs out.
	lapsing string
	// later lets time pass until the provider knows what it was told.
	later func()
}

func worlds() map[string]func(tb testing.TB) world {
	return map[string]func(tb testing.TB) world{"sandbox": openSandbox, "stripe": func(tb testing.TB) world {
		w, _ := openStripe(tb)
		return w
	}}
}

func openSandbox(tb testing.TB) world {
	tb.Helper()
	server := sandboxtest.Start(tb)
	told := server.Environment()
	return world{
		Provider: open(tb, payment.Config{Provider: "sandbox", URL: told["PAYMENT_PROVIDER_URL"], Key: told["PAYMENT_PROVIDER_KEY"]}),
		kinds:    server.Kinds, fault: server.Fault, lapsing: "pm_card_authorisationExpires", later: func() {},
		paths: map[string]string{
			"authorise": "/v1/payments", "capture": "/v1/payments/*/capture", "void": "/v1/payments/*/release", "refund": "/v1/payments/*/release",
		},
	}
}

func openStripe(tb testing.TB) (world, *stripetest.Server) {
	tb.Helper()
	server := stripetest.Start(tb)
	server.Check = accepted(tb)
	return world{
		Provider: open(tb, payment.Config{Provider: "stripe", URL: server.URL, Key: stripetest.Key}),
		kinds:    server.Kinds, fault: server.Fault, lapsing: "pm_card_lapses", later: func() { server.Advance(2 * time.Minute) },
		paths: map[string]string{
			"authorise": "/v1/payment_intents/*/confirm", "capture": "/v1/payment_intents/*/capture",
			"void": "/v1/payment_intents/*/cancel", "refund": "/v1/refunds",
		},
	}, server
}

func open(tb testing.TB, cfg payment.Config) payment.Provider {
	tb.Helper()
	provider, err := gateway.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return provider
}

const visa = "pm_card_visa"

func order(id string) payment.Order {
	return payment.Order{ID: id, Total: events.Money{Amount: 1250, Currency: "EUR"}}
}

func request(id, method string) payment.AuthoriseRequest {
	return payment.AuthoriseRequest{OrderID: id, Amount: order(id).Total, Method: method, PlacedAt: time.Now()}
}

// do makes the call of a step, and wants its payment.
func (w world) do(tb testing.TB, step, id, method string) payment.Payment {
	tb.Helper()
	p, err := w.call(tb.Context(), step, id, method)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (w world) call(ctx context.Context, step, id, method string) (payment.Payment, error) {
	switch step {
	case "authorise":
		return w.Authorise(ctx, request(id, method))
	case "capture":
		return w.Capture(ctx, order(id))
	default: // void, refund
		return w.Release(ctx, order(id))
	}
}

// wantMoved checks an order's movements, and returns what is left of its money.
func (w world) wantMoved(tb testing.TB, id string, want ...payment.Kind) {
	tb.Helper()
	if diff := cmp.Diff(want, w.kinds(tb, id)); diff != "" {
		tb.Errorf("movements of %s (-want +got):\n%s", id, diff)
	}
}

// inEach runs one test against each provider.
func inEach(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Parallel()
	for name, open := range worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

const (
	authorise = payment.KindAuthorise
	captured  = payment.KindCapture
	void      = payment.KindVoid
	refund    = payment.KindRefund
	decline   = payment.KindDecline
)

// TestStates takes a payment from one state to the next, and makes each call twice:
// the second gets the first one's answer, and moves nothing.
func TestStates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method string
		steps  []string
		want   []payment.State
		moved  []payment.Kind
		// code is the last decline's, and reason why the order can't go on.
		code   string
		reason events.Reason
	}{
		"held":             {visa, []string{"authorise"}, []payment.State{"authorised"}, []payment.Kind{authorise}, "", ""},
		"kept":             {visa, []string{"authorise", "capture"}, []payment.State{"authorised", "captured"}, []payment.Kind{authorise, captured}, "", ""},
		"void":             {visa, []string{"authorise", "void"}, []payment.State{"authorised", "voided"}, []payment.Kind{authorise, void}, "", events.ReasonPaymentExpired},
		"refund":           {visa, []string{"authorise", "capture", "refund"}, []payment.State{"authorised", "captured", "refunded"}, []payment.Kind{authorise, captured, refund}, "", events.ReasonPaymentExpired},
		"capture too late": {visa, []string{"authorise", "void", "capture"}, []payment.State{"authorised", "voided", "voided"}, []payment.Kind{authorise, void}, "", events.ReasonPaymentExpired},
		"declined":         {visa + "_chargeDeclined", []string{"authorise"}, []payment.State{"declined"}, []payment.Kind{decline}, "card_declined", events.ReasonPaymentDeclined},
		"no funds":         {visa + "_chargeDeclinedInsufficientFunds", []string{"authorise"}, []payment.State{"declined"}, []payment.Kind{decline}, "insufficient_funds", events.ReasonPaymentDeclined},
		"lost card":        {visa + "_chargeDeclinedLostCard", []string{"authorise"}, []payment.State{"declined"}, []payment.Kind{decline}, "lost_card", events.ReasonPaymentDeclined},
		"expired card":     {"pm_card_chargeDeclinedExpiredCard", []string{"authorise"}, []payment.State{"declined"}, []payment.Kind{decline}, "expired_card", events.ReasonPaymentDeclined},
		"wrong CVC":        {"pm_card_chargeDeclinedIncorrectCvc", []string{"authorise"}, []payment.State{"declined"}, []payment.Kind{decline}, "incorrect_cvc", events.ReasonPaymentDeclined},
		"declined, then":   {visa + "_chargeDeclined", []string{"authorise", "void", "capture"}, []payment.State{"declined", "declined", "declined"}, []payment.Kind{decline}, "card_declined", events.ReasonPaymentDeclined},
		"capture declined": {"pm_card_chargeCustomerFail", []string{"authorise", "capture", "void"}, []payment.State{"authorised", "declined", "declined"}, []payment.Kind{authorise, void}, "card_declined", events.ReasonPaymentDeclined},
		"never authorised": {visa, []string{"void"}, []payment.State{"none"}, nil, "", events.ReasonPaymentExpired},
	}
	for name, test := range tests {
		for at, open := range worlds() {
			t.Run(at+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := open(t)
				w.wantFound(t, payment.Payment{OrderID: "o1", State: payment.StateNone})
				var last payment.Payment
				for i, step := range test.steps {
					last = w.do(t, step, "o1", test.method)
					if last.State != test.want[i] {
						t.Fatalf("%s = %+v, want it %s", step, last, test.want[i])
					}
					if again := w.do(t, step, "o1", test.method); again != last {
						t.Errorf("%s again = %+v, first %+v", step, again, last)
					}
					w.wantFound(t, last)
				}
				w.wantMoved(t, "o1", test.moved...)
				if reason, _ := last.CancelReason(); reason != test.reason || last.DeclineCode != test.code {
					t.Errorf("ends with %q, declined for %q, want %q and %q", reason, last.DeclineCode, test.reason, test.code)
				}
				wantWhole(t, last, test.want[len(test.want)-1])
			})
		}
	}
}

// wantFound checks how the payment stands by asking, which moves nothing.
func (w world) wantFound(t *testing.T, want payment.Payment) {
	t.Helper()
	if found, err := w.Find(t.Context(), order("o1")); err != nil || found != want {
		t.Errorf("Find = %+v, %v, want %+v", found, err, want)
	}
}

// TestSettled holds which states leave nothing to be done of a step.
func TestSettled(t *testing.T) {
	t.Parallel()
	settled := map[payment.Step]string{
		payment.StepAuthorise: "authorised captured voided refunded declined", payment.StepCapture: "captured voided refunded declined",
		payment.StepRelease: "voided refunded declined",
	}
	for step, states := range settled {
		for _, state := range append(payment.States(), payment.StateNone, "") {
			if got, want := step.SettledBy(state), state != "" && strings.Contains(states, string(state)); got != want {
				t.Errorf("%s is settled by %q: %t, want %t", step, state, got, want)
			}
		}
	}
}

// wantWhole checks that a payment says all that our books keep of one in its state.
func wantWhole(t *testing.T, p payment.Payment, state payment.State) {
	t.Helper()
	if state == payment.StateNone {
		if want := (payment.Payment{OrderID: "o1", State: payment.StateNone}); p != want {
			t.Errorf("payment = %+v, want %+v", p, want)
		}
		return
	}
	if !p.OnRecord() || p.OrderID != "o1" || p.Amount != order("o1").Total {
		t.Errorf("payment = %+v, want one of o1 with an id and %s", p, order("o1").Total)
	}
	if kept := state == payment.StateCaptured || state == payment.StateRefunded; kept == p.CapturedAt.IsZero() {
		t.Errorf("captured at %s while it is %s", p.CapturedAt, state)
	}
	if closed := !p.Secured(); closed == p.ClosedAt.IsZero() {
		t.Errorf("closed at %s while it is %s", p.ClosedAt, state)
	}
	if state != payment.StateDeclined && p.AuthorisedAt.IsZero() {
		t.Errorf("not authorised at any time while it is %s", state)
	}
}

// A hold that has run out is no decline, and a capture makes nothing of it.
func TestHoldRunsOut(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.do(t, "authorise", "o1", w.lapsing)
		for range 2 {
			late := w.do(t, "capture", "o1", "")
			if reason, _ := late.CancelReason(); late.State != payment.StateVoided || reason != events.ReasonPaymentExpired {
				t.Errorf("capture of a hold that ran out = %+v", late)
			}
		}
		w.wantMoved(t, "o1", authorise, void)
	})
}

// A release closes the order: what was under way meanwhile holds nothing.
func TestAuthorisationAfterRelease(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.do(t, "void", "o1", "")
		for range 2 {
			late := w.do(t, "authorise", "o1", visa)
			if late.State != payment.StateDeclined || late.DeclineCode != "order_released" || !late.OnRecord() {
				t.Errorf("authorisation after a release = %+v", late)
			}
		}
		if late := w.do(t, "void", "o1", ""); late.Secured() {
			t.Errorf("released again = %+v", late)
		}
		for _, kind := range w.kinds(t, "o1") {
			if kind != decline {
				t.Errorf("there was a movement: %s", kind)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.do(t, "authorise", "o1", visa)
		w.later()
		other, nobody := request("o1", visa), request("o2", "pm_card_nobody")
		other.Amount.Amount++
		tests := map[string]struct {
			call func() error
			want error
		}{
			"other total":    {func() error { _, err := w.Authorise(t.Context(), other); return err }, payment.ErrConflict},
			"unknown method": {func() error { _, err := w.Authorise(t.Context(), nobody); return err }, payment.ErrUnknownMethod},
			"and again":      {func() error { _, err := w.Authorise(t.Context(), nobody); return err }, payment.ErrUnknownMethod},
			"nothing there":  {func() error { _, err := w.Capture(t.Context(), order("o3")); return err }, payment.ErrNotFound},
			"bad id":         {func() error { _, err := w.Release(t.Context(), order(`a"/../b c`)); return err }, payment.ErrRefused},
			"no amount": {func() error {
				_, err := w.Authorise(t.Context(), payment.AuthoriseRequest{OrderID: "o4", Method: visa})
				return err
			}, payment.ErrRefused},
		}
		for name, test := range tests {
			if err := test.call(); !errors.Is(err, test.want) || payment.Temporary(err) {
				t.Errorf("%s: %v, want the final %v", name, err, test.want)
			}
		}
		w.wantMoved(t, "o1", authorise)
		if left := w.do(t, "void", "o2", ""); left.OnRecord() {
			t.Errorf("released after an unknown method = %+v", left)
		}
	})
}

// faults are what goes wrong with the call that moves the money. Hasty is a caller
// who doesn't wait for a minute.
func faults() map[string]struct {
	plan  string
	hasty bool
} {
	return map[string]struct {
		plan  string
		hasty bool
	}{
		"cut before":     {`{"before":{"path":"%s","drop":true,"count":2}}`, false}, // once more by net/http
		"cut after":      {`{"after":{"path":"%s","drop":true,"count":2}}`, false},
		"500 before":     {`{"before":{"path":"%s","status":500,"count":1}}`, false},
		"503 after":      {`{"after":{"path":"%s","status":503,"count":1}}`, false},
		"429":            {`{"before":{"path":"%s","status":429,"count":1}}`, false},
		"401":            {`{"before":{"path":"%s","status":401,"count":1}}`, false},
		"timeout before": {`{"before":{"path":"%s","delay":"1m","status":500,"count":1}}`, true},
		"timeout after":  {`{"after":{"path":"%s","delay":"1m","count":1}}`, true},
	}
}

// TestUnknownOutcome has each step fail in each way, before it took effect and
// after. The error is never final, and the same call made again ends as it should
// have, with the money moved once.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	steps := map[string]struct {
		before []string
		want   payment.State
		moved  []payment.Kind
	}{
		"authorise": {nil, payment.StateAuthorised, []payment.Kind{authorise}},
		"capture":   {[]string{"authorise"}, payment.StateCaptured, []payment.Kind{authorise, captured}},
		"void":      {[]string{"authorise"}, payment.StateVoided, []payment.Kind{authorise, void}},
		"refund":    {[]string{"authorise", "capture"}, payment.StateRefunded, []payment.Kind{authorise, captured, refund}},
	}
	for at, open := range worlds() {
		for step, test := range steps {
			for name, fault := range faults() {
				t.Run(at+"/"+step+"/"+name, func(t *testing.T) {
					t.Parallel()
					w := open(t)
					for _, earlier := range test.before {
						w.do(t, earlier, "o1", visa)
					}
					w.fault(t, fmt.Sprintf(fault.plan, w.paths[step]))
					ctx := t.Context()
					if fault.hasty {
						short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
						defer cancel()
						ctx = short
					}
					if _, err := w.call(ctx, step, "o1", visa); !payment.Temporary(err) {
						t.Fatalf("%s under a fault = %v, want an error that isn't final", step, err)
					}
					w.fault(t, `{}`)
					if got := w.do(t, step, "o1", visa); got.State != test.want {
						t.Errorf("%s again = %+v, want it %s", step, got, test.want)
					}
					w.wantMoved(t, "o1", test.moved...)
				})
			}
		}
	}
}

// A customer cancels while the parcel is made ready, or while the payment is
// verified. Whoever is first, no money is held or kept in the end, and whoever is
// told that it is released is told the truth.
func TestRacesWithRelease(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		for _, step := range []string{"authorise", "capture"} {
			for round := range 12 {
				id := fmt.Sprintf("%s-%d", step, round)
				if step == "capture" {
					w.do(t, "authorise", id, visa)
				}
				var group sync.WaitGroup
				group.Go(func() { _, _ = w.call(t.Context(), step, id, visa) })
				group.Go(func() { _, _ = w.Release(t.Context(), order(id)) })
				group.Wait()
				if end := w.do(t, "void", id, ""); end.Secured() {
					t.Errorf("%s: released = %+v", id, end)
				}
				if late := w.do(t, "authorise", id, visa); w.left(t, id) != 0 {
					t.Errorf("%s: money is left after an authorisation that came last: %+v, %v", id, late, w.kinds(t, id))
				}
			}
		}
	})
}

// left counts what is held or kept of an order's money, by its movements.
func (w world) left(tb testing.TB, id string) int {
	tb.Helper()
	left := 0
	for _, kind := range w.kinds(tb, id) {
		switch kind {
		case authorise:
			left++
		case void, refund:
			left--
		}
	}
	return left
}

// The same order delivered many times at once is one payment.
func TestAtOnce(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		for _, step := range []string{"authorise", "capture", "refund"} {
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					if _, err := w.call(t.Context(), step, "o1", visa); err != nil && !payment.Temporary(err) {
						t.Errorf("%s: %v", step, err)
					}
				})
			}
			group.Wait()
		}
		w.wantMoved(t, "o1", authorise, captured, refund)
	})
}

// TestStrangeAnswers holds that nothing is final, and nothing is taken for a
// payment, unless the provider itself says so; and that no error has the key, or a
// stranger's text.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	const text = "<html>somebody else"
	tests := map[string]struct {
		status int
		body   string
	}{
		"not JSON":      {200, text},
		"empty":         {200, ""},
		"nothing in it": {200, `{}`},
		"null":          {200, `null`},
		"other order":   {200, `{"order_id":"o2","state":"authorised","id":"pi_1","status":"requires_capture","metadata":{"order_id":"o2"}}`},
		"endless":       {200, `{"order_id":"` + strings.Repeat("x", 2<<20) + `"}`},
		"wrong port":    {404, text},
		"proxy":         {400, text},
		"other's JSON":  {400, `{"error":"` + text + `"}`},
		"other's error": {403, `{"error":{"type":"` + text + `","message":"` + text + `"}}`},
		"redirect":      {307, ""},
		"bad gateway":   {502, text},
		"our key":       {401, `{"code":"unauthorised","error":{"type":"invalid_request_error","message":"Invalid API Key: ` + stripetest.Key + `"}}`},
		"too many":      {429, `{"code":"unavailable","error":{"type":"invalid_request_error","code":"rate_limit"}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/elsewhere") {
					t.Error("the key was carried elsewhere")
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer web.Close()
			for _, provider := range []string{"sandbox", "stripe"} {
				w := world{Provider: open(t, payment.Config{Provider: provider, URL: web.URL, Key: stripetest.Key})}
				for _, step := range []string{"authorise", "capture", "void"} {
					p, err := w.call(t.Context(), step, "o1", visa)
					if !payment.Temporary(err) {
						t.Errorf("%s: %s = %+v, %v, want an error that isn't final", provider, step, p, err)
						continue
					}
					if strings.Contains(err.Error(), stripetest.Key) || strings.Contains(err.Error(), "somebody") {
						t.Errorf("%s: %s says %v", provider, step, err)
					}
				}
			}
		})
	}
}

// TestOpen holds that the configuration alone chooses, and what is said of one that
// can't be meant.
func TestOpen(t *testing.T) {
	t.Parallel()
	const here, live = "https://api.stripe.com", "sk_live_secret"
	for name, test := range map[string]struct {
		cfg  payment.Config
		want string
	}{
		"sandbox":       {payment.Config{Provider: "sandbox", URL: "http://127.0.0.1:1", Key: "k"}, ""},
		"stripe":        {payment.Config{Provider: "stripe", URL: here, Key: live}, ""},
		"restricted":    {payment.Config{Provider: "stripe", URL: here, Key: "rk_test_x"}, ""},
		"nobody's":      {payment.Config{Provider: "secret", URL: here, Key: live}, "environment: PAYMENT_PROVIDER is neither sandbox nor stripe"},
		"sandbox's key": {payment.Config{Provider: "stripe", URL: here, Key: "secret"}, "environment: PAYMENT_PROVIDER_KEY is no secret key of Stripe's: it begins neither with sk_ nor with rk_"},
		"public key":    {payment.Config{Provider: "stripe", URL: here, Key: "pk_live_secret"}, "environment: PAYMENT_PROVIDER_KEY is no secret key of Stripe's: it begins neither with sk_ nor with rk_"},
		"in the open":   {payment.Config{Provider: "stripe", URL: "http://api.stripe.com", Key: live}, "environment: PAYMENT_PROVIDER_URL is not https: a key by which money moves would be sent in the open"},
		"no URL":        {payment.Config{Provider: "stripe", URL: "api.stripe.com", Key: live}, "environment: PAYMENT_PROVIDER_URL is no URL"},
	} {
		provider, err := gateway.Open(test.cfg)
		if got := fmt.Sprint(err); test.want != "" && got != test.want || test.want == "" && (err != nil || provider == nil) {
			t.Errorf("%s: Open = %v, %q, want %q", name, provider, got, test.want)
		}
	}
}
