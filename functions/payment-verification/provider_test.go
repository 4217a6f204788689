package function_test

import (
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
)

// provider is the payment provider, with its books added up.
type provider struct {
	*sandboxtest.Provider
}

// standing is how the provider's books are for an order: the payment, and what
// its movements come to.
type standing struct {
	payment.Payment
	held, kept, authorisations int64
}

func (p provider) standing(tb testing.TB, orderID string) standing {
	tb.Helper()
	found, err := p.Find(tb.Context(), orderID)
	if err != nil {
		tb.Fatal(err)
	}
	s := standing{Payment: found}
	for _, moved := range p.Movements(tb, orderID) {
		s.count(moved)
	}
	return s
}

func (s *standing) count(moved payment.Movement) {
	amount := moved.Amount.Amount
	switch moved.Kind {
	case payment.KindAuthorise:
		s.held += amount
		s.authorisations++
	case payment.KindCapture:
		s.held -= amount
		s.kept += amount
	case payment.KindVoid:
		s.held -= amount
	case payment.KindRefund:
		s.kept -= amount
	case payment.KindDecline:
	}
}

func (s standing) wantHeld(tb testing.TB, want events.Money, authorisations int64) {
	tb.Helper()
	if s.held != want.Amount || s.kept != 0 || s.authorisations != authorisations {
		tb.Errorf("provider holds %d and keeps %d after %d authorisations, want to hold %d after %d",
			s.held, s.kept, s.authorisations, want.Amount, authorisations)
	}
}
