package sandbox_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// model is what one order's payment must be, in the fewest words.
type model struct {
	state                    payment.State
	declined, captureDecline bool
	amount, refunded         int64
	returns                  map[int]int64 // what was refunded for each
	expiresAt                time.Time
}

// machine drives the provider over HTTP with any sequence of calls, repeats
// and leaps in time, and compares it with the model after each.
type machine struct {
	p      *provider
	prefix string
	models map[string]*model
}

func (m *machine) order(t *rapid.T) (string, *model) {
	order := m.prefix + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "order")
	if m.models[order] == nil {
		m.models[order] = &model{state: payment.StateNone}
	}
	found := m.models[order]
	if found.state == payment.StateAuthorised && !m.p.clock.Now().Before(found.expiresAt) {
		found.state = payment.StateVoided
	}
	return order, found
}

func (m *machine) authorise(t *rapid.T) {
	order, want := m.order(t)
	method := rapid.SampledFrom([]string{"pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_chargeCustomerFail"}).Draw(t, "method")
	amount := rapid.Int64Range(1, 1<<53).Draw(t, "amount")
	got, err := m.p.Authorise(t.Context(), payment.AuthoriseRequest{OrderID: order, Amount: euros(amount), Method: method})
	if want.amount != 0 {
		// Another amount or method under the same key; all but never the same.
		if err == nil && got.Amount.Amount != want.amount {
			t.Fatalf("second authorisation over %d accepted, first over %d", amount, want.amount)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want.amount = amount
	switch {
	case want.declined || method == "pm_card_visa_chargeDeclined":
		want.state = payment.StateDeclined
	default:
		want.state, want.captureDecline = payment.StateAuthorised, method == "pm_card_chargeCustomerFail"
		want.expiresAt = m.p.clock.Now().Add(7 * 24 * time.Hour)
	}
	m.compare(t, "authorise", want, got)
}

func (m *machine) capture(t *rapid.T) {
	order, want := m.order(t)
	got, err := m.p.Capture(t.Context(), order)
	if want.amount == 0 {
		if !isNotFound(err) {
			t.Fatalf("capture of nothing = %v, want not found", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if want.state == payment.StateRefunded && got.State == payment.StateCaptured || want.refunded > 0 {
		return // the first answer again
	}
	if want.state == payment.StateAuthorised {
		want.state = payment.StateCaptured
		if want.captureDecline {
			want.state = payment.StateDeclined
		}
	}
	m.compare(t, "capture", want, got)
}

func (m *machine) release(t *rapid.T) {
	order, want := m.order(t)
	got, err := m.p.Release(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	switch want.state {
	case payment.StateNone:
		want.declined = true // whatever comes later
	case payment.StateAuthorised:
		want.state = payment.StateVoided
	case payment.StateCaptured:
		want.state, want.refunded = payment.StateRefunded, want.amount
	}
	m.compare(t, "release", want, got)
}

func (m *machine) refund(t *rapid.T) {
	order, want := m.order(t)
	number, amount := rapid.IntRange(1, 3).Draw(t, "return"), rapid.Int64Range(1, max(want.amount, 1)).Draw(t, "amount")
	got, err := m.p.Refund(t.Context(), payment.RefundRequest{Order: payment.Order{ID: order}, Return: number, Amount: euros(amount)})
	before, done := want.returns[number]
	switch {
	case done && before == amount:
		if err != nil {
			t.Fatalf("a refund again = %v", err)
		}
	case done || want.state != payment.StateCaptured || amount > want.amount-want.refunded:
		if !errors.Is(err, payment.ErrRefused) {
			t.Fatalf("refund of %d for return %d = %+v, %v, want it refused: %+v", amount, number, got, err, *want)
		}
	default:
		if err != nil {
			t.Fatal(err)
		}
		if want.returns == nil {
			want.returns = map[int]int64{}
		}
		want.returns[number] = amount
		if want.refunded += amount; want.refunded == want.amount {
			want.state = payment.StateRefunded
		}
		m.compare(t, "refund", want, got)
	}
}

func (m *machine) find(t *rapid.T) {
	order, want := m.order(t)
	got, err := m.p.Find(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	m.compare(t, "find", want, got)
}

func (m *machine) wait(t *rapid.T) {
	m.p.clock.advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour)
}

func (m *machine) compare(t *rapid.T, call string, want *model, got payment.Payment) {
	if got.State != want.state || got.Amount.Amount != want.amount || got.Refunded != want.refunded {
		t.Fatalf("%s = %+v, want %+v", call, got, *want)
	}
}

func TestAnySequenceOfCalls(t *testing.T) {
	t.Parallel()
	p := start(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &machine{p: p, prefix: orderPrefix(run), models: map[string]*model{}}
		rt.Repeat(map[string]func(*rapid.T){
			"authorise": m.authorise, "capture": m.capture, "release": m.release, "refund": m.refund, "find": m.find, "wait": m.wait,
		})
	})
	checkLedger(t, p.Client)
}
