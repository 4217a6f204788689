package payment_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
)

const key = "a key for tests"

func order(id string) payment.AuthoriseRequest {
	return payment.AuthoriseRequest{OrderID: id, Amount: events.Money{Amount: 1250, Currency: "EUR"}, Method: "pm_card_visa"}
}

// TestUnknownOutcome loses the answer in each way after the provider has acted,
// and asks again.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"cut before":     `{"before":{"drop":true,"count":1}}`,
		"cut after":      `{"after":{"drop":true,"count":1}}`,
		"503 before":     `{"before":{"status":503,"count":1}}`,
		"500 after":      `{"after":{"status":500,"count":1}}`,
		"429":            `{"before":{"status":429,"count":1}}`,
		"timeout before": `{"before":{"delay":"1m","status":500,"count":1}}`,
		"timeout after":  `{"after":{"delay":"1m","count":1}}`,
	}
	for name, plan := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := sandboxtest.Start(t)
			client.Fault(t, plan)
			hasty := client.Client
			if strings.HasPrefix(name, "timeout") {
				hasty = client.WithTimeout(200 * time.Millisecond)
			}
			if _, err := hasty.Authorise(t.Context(), order("o1")); !payment.Temporary(err) {
				t.Fatalf("Authorise under a fault = %v, want a temporary error", err)
			}
			got, err := client.Authorise(t.Context(), order("o1"))
			if err != nil || got.State != payment.StateAuthorised {
				t.Fatalf("Authorise again = %+v, %v", got, err)
			}
			if moves := client.Kinds(t, "o1"); len(moves) != 1 {
				t.Errorf("movements = %v, want one", moves)
			}
		})
	}
}

// TestKeysAreOfTheStep looks at the wire: each step's key is made of the order and
// nothing else, so that whoever makes the call again, in whichever process, makes
// the same call.
func TestKeysAreOfTheStep(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 16)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Method + " " + r.Header.Get("Idempotency-Key")
		_, _ = io.WriteString(w, `{"order_id":"o1","state":"voided","refunded":5}`)
	}))
	defer web.Close()
	for range 2 {
		for call, err := range callAll(t.Context(), payment.NewClient(web.URL, key, nil)) {
			if err != nil {
				t.Errorf("%s = %v", call, err)
			}
		}
	}
	for range 2 {
		for _, want := range []string{"POST authorise/o1", "POST capture/o1", "POST release/o1", "POST refund/2/o1", "GET "} {
			if got := <-keys; got != want {
				t.Errorf("method and key on the wire = %q, want %q", got, want)
			}
		}
	}
}

// TestIfRefused holds which errors are marked as final, and that others pass.
func TestIfRefused(t *testing.T) {
	t.Parallel()
	final := errors.New("final")
	mark := func(err error) error { return errors.Join(final, err) }
	for _, refused := range []error{payment.ErrRefused, payment.ErrConflict, payment.ErrUnknownMethod, fmt.Errorf("capture: %w", payment.ErrNotFound)} {
		if got := payment.IfRefused(refused, mark); !errors.Is(got, final) || !errors.Is(got, refused) {
			t.Errorf("IfRefused(%v) = %v, want it marked", refused, got)
		}
	}
	for _, open := range []error{nil, context.DeadlineExceeded, errors.New("connection reset")} {
		if got := payment.IfRefused(open, mark); !errors.Is(got, open) || errors.Is(got, final) {
			t.Errorf("IfRefused(%v) = %v, want it as it was", open, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	client := sandboxtest.Start(t)
	if _, err := client.Authorise(t.Context(), order("o1")); err != nil {
		t.Fatal(err)
	}
	other, unknown := order("o1"), order("o2")
	other.Amount.Amount++
	unknown.Method = "pm_card_nobody"
	tests := map[string]struct {
		call func() error
		want error
	}{
		"conflict":       {func() error { _, err := client.Authorise(t.Context(), other); return err }, payment.ErrConflict},
		"unknown method": {func() error { _, err := client.Authorise(t.Context(), unknown); return err }, payment.ErrUnknownMethod},
		"nothing there":  {func() error { _, err := client.Capture(t.Context(), "o2"); return err }, payment.ErrNotFound},
		"bad id":         {func() error { _, err := client.Release(t.Context(), "a/../b c"); return err }, payment.ErrRefused},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := test.call(); !errors.Is(err, test.want) || payment.Temporary(err) {
				t.Errorf("error = %v, want the final %v", err, test.want)
			}
		})
	}
	found, err := client.Find(t.Context(), "o3")
	if want := (payment.Payment{OrderID: "o3", State: payment.StateNone}); err != nil || found != want {
		t.Errorf("Find = %+v, %v, want %+v", found, err, want)
	}
}

// TestStrangeAnswers holds that nothing is final, and nothing is taken for a
// payment, unless the provider itself says so.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
	}{
		"not JSON":        {200, "<html>"},
		"empty":           {200, ""},
		"another order":   {200, `{"order_id":"o2","state":"authorised"}`},
		"endless":         {200, `{"order_id":"` + strings.Repeat("x", 2<<20) + `"}`},
		"wrong port":      {404, "404 page not found"},
		"proxy":           {400, "<html>"},
		"redirect":        {302, ""},
		"accepted":        {202, `{"order_id":"o1"}`},
		"wrong key":       {401, `{"code":"unauthorised"}`},
		"forbidden":       {403, `{"code":"unauthorised"}`},
		"busy":            {429, `{"code":"unavailable"}`},
		"broken":          {500, `{"code":"payment_not_found"}`},
		"code of a novel": {500, `{"code":"` + strings.Repeat("secret", 100) + `"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer web.Close()
			client := payment.NewClient(web.URL, key, nil)
			for call, err := range callAll(t.Context(), client) {
				if !payment.Temporary(err) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), key) {
					t.Errorf("%s = %v, want a temporary error that repeats nothing", call, err)
				}
			}
		})
	}
}

func callAll(ctx context.Context, client *payment.Client) map[string]error {
	_, authorise := client.Authorise(ctx, order("o1"))
	_, capture := client.Capture(ctx, "o1")
	_, release := client.Release(ctx, "o1")
	_, refund := client.Refund(ctx, payment.RefundRequest{
		Order: payment.Order{ID: "o1"}, Return: 2, Amount: events.Money{Amount: 5, Currency: "EUR"},
	})
	_, find := client.Find(ctx, "o1")
	return map[string]error{"Authorise": authorise, "Capture": capture, "Release": release, "Refund": refund, "Find": find}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	client := payment.NewClient(web.URL, key, nil)
	for call, err := range callAll(t.Context(), client) {
		if !payment.Temporary(err) {
			t.Errorf("%s = %v, want a temporary error", call, err)
		}
	}
	for _, err := range client.Movements(t.Context()) {
		if err == nil {
			t.Error("Movements: no error")
		}
	}
	for _, err := range client.Payments(t.Context()) {
		if err == nil {
			t.Error("Payments: no error")
		}
	}
	if _, err := payment.NewClient("http://[", key, nil).Find(t.Context(), "o1"); err == nil {
		t.Error("bad address: no error")
	}
}

func TestContextEndsCall(t *testing.T) {
	t.Parallel()
	client := sandboxtest.Start(t)
	client.Fault(t, `{"before":{"delay":"1m","status":500}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Authorise(ctx, order("o1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Authorise = %v, want deadline exceeded", err)
	}
}

// An answer that leaves the money where it is is no release, whatever its status.
func TestReleaseThatIsNone(t *testing.T) {
	t.Parallel()
	for _, state := range append(payment.States(), payment.StateNone) {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"order_id":"o1","state":"`+string(state)+`"}`)
		}))
		defer web.Close()
		kept := state == payment.StateAuthorised || state == payment.StateCaptured
		_, err := payment.NewClient(web.URL+"/", key, nil).Release(t.Context(), "o1")
		if kept != (err != nil) || (kept && !payment.Temporary(err)) {
			t.Errorf("Release that is answered with %s = %v, want a temporary error: %t", state, err, kept)
		}
	}
}

func TestOnRecord(t *testing.T) {
	t.Parallel()
	if (payment.Payment{State: payment.StateNone}).OnRecord() {
		t.Error("a payment that never was is on record")
	}
	if !(payment.Payment{ID: "p1", State: payment.StateVoided}).OnRecord() {
		t.Error("a payment that was voided isn't on record")
	}
}

func TestCancelReason(t *testing.T) {
	t.Parallel()
	tests := map[payment.State]events.Reason{
		payment.StateNone:       events.ReasonPaymentExpired,
		payment.StateAuthorised: "",
		payment.StateCaptured:   "",
		payment.StateVoided:     events.ReasonPaymentExpired,
		payment.StateRefunded:   events.ReasonPaymentExpired,
		payment.StateDeclined:   events.ReasonPaymentDeclined,
	}
	for state, want := range tests {
		got, must := payment.Payment{State: state}.CancelReason()
		if got != want || must != (want != "") {
			t.Errorf("CancelReason of %s = %q %t, want %q", state, got, must, want)
		}
	}
	if got := len(payment.States()) + 1; got != len(tests) {
		t.Errorf("states = %d, tested %d", got, len(tests))
	}
}
