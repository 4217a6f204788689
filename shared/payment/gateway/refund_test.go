package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// giving is the refund of one return of order("o1"), which came to 1250.
func giving(number int, amount int64) payment.RefundRequest {
	return payment.RefundRequest{Order: order("o1"), Return: number, Amount: events.Money{Amount: amount, Currency: "EUR"}}
}

// paid is a world where o1 is paid.
func (w world) paid(tb testing.TB) world {
	tb.Helper()
	w.do(tb, "authorise", "o1", visa)
	w.do(tb, "capture", "o1", visa)
	return w
}

func (w world) wantRefund(t *testing.T, req payment.RefundRequest, state payment.State, refunded int64) {
	t.Helper()
	got, err := w.Refund(t.Context(), req)
	if err != nil || got.State != state || got.Refunded != refunded || got.Amount != req.Order.Total || got.OrderID != "o1" {
		t.Errorf("refund of %s for return %d = %+v, %v, want it %s with %d refunded", req.Amount, req.Return, got, err, state, refunded)
	}
	if closed := state == payment.StateRefunded; closed == got.ClosedAt.IsZero() {
		t.Errorf("closed at %s while it is %s", got.ClosedAt, got.State)
	}
}

// Each return is refunded once, however often it is asked for, until nothing is left.
func TestRefundsOfParts(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.paid(t)
		for range 2 {
			w.wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
		}
		w.wantRefund(t, giving(2, 400), payment.StateCaptured, 800)
		w.wantRefund(t, giving(3, 100), payment.StateCaptured, 900)
		w.wantRefund(t, giving(4, 350), payment.StateRefunded, 1250)
		if _, err := w.Refund(t.Context(), giving(1, 400)); err != nil {
			t.Errorf("the first refund again: %v", err)
		}
		if _, err := w.Refund(t.Context(), giving(5, 1)); !errors.Is(err, payment.ErrRefused) {
			t.Errorf("a refund of what isn't there = %v, want it refused", err)
		}
		w.wantMoved(t, "o1", authorise, captured, refund, refund, refund, refund)
	})
}

// What is left after a refund goes back with a release.
func TestReleaseAfterARefund(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.paid(t).wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
		if got := w.do(t, "refund", "o1", ""); got.State != payment.StateRefunded || got.Refunded != 1250 {
			t.Errorf("released = %+v", got)
		}
		w.wantMoved(t, "o1", authorise, captured, refund, refund)
	})
}

func TestRefundsThatAreRefused(t *testing.T) {
	t.Parallel()
	dollars := giving(9, 1)
	dollars.Amount.Currency = "USD"
	tests := map[string]struct {
		steps []string
		req   payment.RefundRequest
		want  error
	}{
		"more than was paid": {[]string{"authorise", "capture"}, giving(1, 1251), payment.ErrRefused},
		"nothing":            {[]string{"authorise", "capture"}, giving(1, 0), payment.ErrRefused},
		"less than nothing":  {[]string{"authorise", "capture"}, giving(1, -5), payment.ErrRefused},
		"another currency":   {[]string{"authorise", "capture"}, dollars, payment.ErrRefused},
		"no return":          {[]string{"authorise", "capture"}, giving(0, 5), payment.ErrRefused},
		"only held":          {[]string{"authorise"}, giving(1, 5), payment.ErrRefused},
		"voided":             {[]string{"authorise", "void"}, giving(1, 5), payment.ErrRefused},
		"refunded":           {[]string{"authorise", "capture", "refund"}, giving(1, 5), payment.ErrRefused},
		"never authorised":   {nil, giving(1, 5), payment.ErrNotFound},
	}
	for name, test := range tests {
		for at, open := range worlds() {
			t.Run(at+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := open(t)
				for _, step := range test.steps {
					w.do(t, step, "o1", visa)
				}
				before := len(w.kinds(t, "o1"))
				if got, err := w.Refund(t.Context(), test.req); !errors.Is(err, test.want) {
					t.Errorf("refund = %+v, %v, want %v", got, err, test.want)
				}
				if after := w.kinds(t, "o1"); len(after) != before {
					t.Errorf("money was moved: %v", after)
				}
			})
		}
	}
}

// A return stands for one amount.
func TestRefundOfAnotherAmount(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.paid(t).wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
		if got, err := w.Refund(t.Context(), giving(1, 500)); !errors.Is(err, payment.ErrConflict) {
			t.Errorf("refund = %+v, %v, want a conflict", got, err)
		}
		w.wantMoved(t, "o1", authorise, captured, refund)
	})
}

// Nobody knows whether a refund was made: it is asked for again, and was made once.
func TestRefundOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for at, path := range map[string]string{"sandbox": "/v1/payments/*/refunds", "stripe": `/v1/refunds","method":"POST`} {
		for name, fault := range faults() {
			t.Run(at+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := worlds()[at](t).paid(t)
				w.fault(t, fmt.Sprintf(fault.plan, path))
				ctx := t.Context()
				if fault.hasty {
					short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
					defer cancel()
					ctx = short
				}
				if got, err := w.Refund(ctx, giving(1, 400)); !payment.Temporary(err) {
					t.Fatalf("refund under a fault = %+v, %v, want an error that isn't final", got, err)
				}
				w.fault(t, `{}`)
				w.wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
				w.wantMoved(t, "o1", authorise, captured, refund)
			})
		}
	}
}

// Three returns at once, each asked for by several deliveries: three refunds.
func TestRefundsAtOnce(t *testing.T) {
	inEach(t, func(t *testing.T, w world) {
		w.paid(t)
		var group sync.WaitGroup
		for number := range 3 {
			for range 5 {
				group.Go(func() {
					if _, err := w.Refund(t.Context(), giving(number+1, 250)); err != nil && !payment.Temporary(err) {
						t.Errorf("return %d: %v", number+1, err)
					}
				})
			}
		}
		group.Wait()
		w.wantRefund(t, giving(4, 500), payment.StateRefunded, 1250)
		w.wantMoved(t, "o1", authorise, captured, refund, refund, refund, refund)
	})
}

// Stripe keeps a failure for a key, whether or not the refund was made. By the next
// key it would be made again, if nobody looked first.
func TestFailureOfARefundIsKept(t *testing.T) {
	t.Parallel()
	for _, effect := range []bool{false, true} {
		t.Run(fmt.Sprint(effect), func(t *testing.T) {
			t.Parallel()
			w, server := openStripe(t)
			w.paid(t)
			server.Break("/v1/refunds", effect)
			if got, err := w.Refund(t.Context(), giving(1, 400)); !payment.Temporary(err) {
				t.Fatalf("refund when Stripe fails = %+v, %v, want an error that isn't final", got, err)
			}
			for range 2 {
				w.wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
			}
			w.wantMoved(t, "o1", authorise, captured, refund)
		})
	}
}

// After a day Stripe has forgotten the keys, and knows its refunds, however many.
func TestRefundIsFoundWithoutItsKey(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	w.paid(t)
	for number := range 5 {
		w.wantRefund(t, giving(number+1, 100), payment.StateCaptured, int64(number+1)*100)
	}
	server.Advance(48 * time.Hour)
	for number := range 5 {
		w.wantRefund(t, giving(number+1, 100), payment.StateCaptured, 500)
	}
	w.wantRefund(t, giving(6, 750), payment.StateRefunded, 1250)
	w.wantMoved(t, "o1", authorise, captured, refund, refund, refund, refund, refund, refund)
}

// A refund that Stripe has to take back is none, and no other is made for the return.
func TestRefundThatIsTakenBack(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	w.paid(t).wantRefund(t, giving(1, 400), payment.StateCaptured, 400)
	server.FailRefunds("o1")
	if got, err := w.Refund(t.Context(), giving(1, 400)); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("refund that was taken back = %+v, %v, want it refused", got, err)
	}
	w.wantMoved(t, "o1", authorise, captured, refund)
}

// The requests: what there is comes before what is made.
func TestRefundOnTheWire(t *testing.T) {
	t.Parallel()
	w, server := openStripe(t)
	w.paid(t)
	seen := listen(server)
	w.wantRefund(t, giving(2, 400), payment.StateCaptured, 400)
	got := seen.take()
	const listed = "GET /v1/refunds"
	const made = "POST /v1/refunds orderflow/o1/refund-2/1 amount=400&metadata[order_id]=o1&metadata[return]=2&payment_intent=pi_1"
	if len(got) != 5 || got[2] != listed || got[3] != made {
		t.Errorf("requests: %q, want %q and then %q", got, listed, made)
	}
}
