package sandbox_test

import (
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

func collect[T any](t testing.TB, items iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

func TestCards(t *testing.T) {
	t.Parallel()
	p := start(t)
	tests := []struct {
		method               string
		authorised, captured payment.State
		code                 string
		reason               events.Reason
	}{
		{"pm_card_visa", payment.StateAuthorised, payment.StateCaptured, "", ""},
		{"pm_card_visa_chargeDeclined", payment.StateDeclined, payment.StateDeclined, "card_declined", events.ReasonPaymentDeclined},
		{"pm_card_visa_chargeDeclinedInsufficientFunds", payment.StateDeclined, payment.StateDeclined, "insufficient_funds", events.ReasonPaymentDeclined},
		{"pm_card_chargeDeclinedExpiredCard", payment.StateDeclined, payment.StateDeclined, "expired_card", events.ReasonPaymentDeclined},
		{"pm_card_chargeCustomerFail", payment.StateAuthorised, payment.StateDeclined, "card_declined", events.ReasonPaymentDeclined},
		{"pm_card_authorisationExpires", payment.StateAuthorised, payment.StateVoided, "", events.ReasonPaymentExpired},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			req := payment.AuthoriseRequest{OrderID: test.method, Amount: euros(500), Method: test.method}
			authorised, err := p.Authorise(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if authorised.State != test.authorised || authorised.Amount != req.Amount || authorised.ID == "" {
				t.Errorf("Authorise = %+v, want %s", authorised, test.authorised)
			}
			captured, err := p.Capture(t.Context(), test.method)
			if err != nil {
				t.Fatal(err)
			}
			if captured.State != test.captured || captured.DeclineCode != test.code {
				t.Errorf("Capture = %+v, want %s %q", captured, test.captured, test.code)
			}
			if reason, must := captured.CancelReason(); reason != test.reason || must != (reason != "") {
				t.Errorf("CancelReason = %q %t, want %q", reason, must, test.reason)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	p := start(t)
	steps := map[string]func(order string) error{
		"authorise": func(order string) error { _, err := p.Authorise(t.Context(), visa(order)); return err },
		"capture":   func(order string) error { _, err := p.Capture(t.Context(), order); return err },
		"release":   func(order string) error { _, err := p.Release(t.Context(), order); return err },
	}
	tests := map[string]struct {
		before []string
		want   payment.State
	}{
		"unknown":          {nil, payment.StateNone},
		"unknown, twice":   {[]string{"release"}, payment.StateNone},
		"authorised":       {[]string{"authorise"}, payment.StateVoided},
		"voided":           {[]string{"authorise", "release"}, payment.StateVoided},
		"captured":         {[]string{"authorise", "capture"}, payment.StateRefunded},
		"refunded":         {[]string{"authorise", "capture", "release"}, payment.StateRefunded},
		"capture too late": {[]string{"authorise", "release", "capture"}, payment.StateVoided},
		"late authorise":   {[]string{"release", "authorise"}, payment.StateDeclined},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order := fmt.Sprintf("%x", name)
			for _, step := range test.before {
				if err := steps[step](order); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			got, err := p.Release(t.Context(), order)
			if err != nil || got.State != test.want {
				t.Errorf("Release = %+v, %v, want %s", got, err, test.want)
			}
			found, err := p.Find(t.Context(), order)
			if err != nil || found.State != test.want {
				t.Errorf("Find = %+v, %v, want %s", found, err, test.want)
			}
		})
	}
}

func TestHoldRunsOut(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, order := range []string{"found", "captured", "released", "again", "kept"} {
		if _, err := p.Authorise(t.Context(), visa(order)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Capture(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	p.clock.advance(7 * 24 * time.Hour)
	found, err := p.Find(t.Context(), "found")
	if err != nil || found.State != payment.StateVoided || !found.Expired {
		t.Errorf("Find = %+v, %v, want voided and expired", found, err)
	}
	captured, err := p.Capture(t.Context(), "captured")
	if reason, must := captured.CancelReason(); err != nil || !must || reason != events.ReasonPaymentExpired {
		t.Errorf("Capture = %+v, %v, want expired", captured, err)
	}
	if released, err := p.Release(t.Context(), "released"); err != nil || !released.Expired {
		t.Errorf("Release = %+v, %v, want voided and expired", released, err)
	}
	// Refused, with another key, but the expiry is on record all the same, once.
	for range 2 {
		p.post(t, "/v1/payments", "other", jsonType, `{"order_id":"again","amount":{"amount":1,"currency":"EUR"},"method":"pm_card_visa"}`)
	}
	if kept, err := p.Find(t.Context(), "kept"); err != nil || kept.State != payment.StateCaptured {
		t.Errorf("Find = %+v, %v, want captured", kept, err)
	}
	checkLedger(t, p.Client)
}

func TestSameAuthorisationAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	var wg sync.WaitGroup
	payments := make([]payment.Payment, 20)
	for i := range payments {
		wg.Go(func() {
			var err error
			if payments[i], err = p.Authorise(t.Context(), visa("o1")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, got := range payments {
		if got != payments[0] {
			t.Errorf("payment = %+v, another got %+v", got, payments[0])
		}
	}
	if moves := collect(t, p.Movements(t.Context())); len(moves) != 1 {
		t.Errorf("movements = %d, want 1", len(moves))
	}
}

func TestCaptureAgainstRelease(t *testing.T) {
	t.Parallel()
	p := start(t)
	var wg sync.WaitGroup
	for i := range 50 {
		order := fmt.Sprintf("o%d", i)
		if _, err := p.Authorise(t.Context(), visa(order)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wg.Go(func() {
				if _, err := p.Capture(t.Context(), order); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := p.Release(t.Context(), order); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, got := range collect(t, p.Payments(t.Context())) {
		if got.Secured() {
			t.Errorf("payment = %+v, want nothing held or kept after a release", got)
		}
	}
	checkLedger(t, p.Client)
}

// checkLedger compares every payment with its movements, to the cent.
func checkLedger(t testing.TB, client *payment.Client) {
	t.Helper()
	sums := map[string]map[payment.Kind]int64{}
	last := uint64(0)
	for _, move := range collect(t, client.Movements(t.Context())) {
		if move.Seq != last+1 {
			t.Errorf("movement %d follows %d", move.Seq, last)
		}
		last = move.Seq
		if sums[move.OrderID] == nil {
			sums[move.OrderID] = map[payment.Kind]int64{}
		}
		sums[move.OrderID][move.Kind] += move.Amount.Amount
	}
	for _, p := range collect(t, client.Payments(t.Context())) {
		sum := sums[p.OrderID]
		delete(sums, p.OrderID)
		held := sum[payment.KindAuthorise] - sum[payment.KindCapture] - sum[payment.KindVoid]
		kept := sum[payment.KindCapture] - sum[payment.KindRefund]
		wantHeld, wantKept := int64(0), int64(0)
		switch p.State {
		case payment.StateAuthorised:
			wantHeld = p.Amount.Amount
		case payment.StateCaptured:
			wantKept = p.Amount.Amount - p.Refunded
		}
		if held != wantHeld || kept != wantKept || sum[payment.KindAuthorise] > p.Amount.Amount {
			t.Errorf("order %s %s: held %d kept %d, want %d and %d (%v)", p.OrderID, p.State, held, kept, wantHeld, wantKept, sum)
		}
	}
	if len(sums) > 0 {
		t.Errorf("movements without a payment: %v", sums)
	}
}
