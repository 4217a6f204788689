package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// That our database is right in itself (a shipped order's payment is captured,
// a payment is the order's total) is for the invariants in SQL to say. Here it
// is held against the provider's two books, and each message says which of
// them says what: the record that the provider keeps of a payment, and its
// ledger of what was really moved.

func readPayments(ctx context.Context, provider *payment.Client) (map[string]payment.Payment, error) {
	all := map[string]payment.Payment{}
	for one, err := range provider.Payments(ctx) {
		if err != nil {
			return nil, err
		}
		all[one.OrderID] = one
	}
	return all, nil
}

// comparePayments holds the provider's records against our rows.
func comparePayments(v view, w world) (violations []string, remark string) {
	for id, own := range v.before.orders {
		theirs, found := w.payments[id]
		if v.stands(id) && !own.agrees(theirs) {
			violations = append(violations, fmt.Sprintf("order %s: our database says %s, the provider's record says %s", id, own.says(), recordSays(theirs, found)))
		} else if v.stands(id) && own.payment != payment.StateNone && own.paymentID != theirs.ID {
			violations = append(violations, fmt.Sprintf("order %s: our database says payment %s, the provider's record says payment %s", id, own.paymentID, theirs.ID))
		}
	}
	for id, theirs := range w.payments {
		if _, known := v.after.orders[id]; !known && theirs.Secured() {
			violations = append(violations, fmt.Sprintf("order %s: our database knows no such order, the provider's record says %s", id, recordSays(theirs, true)))
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d payments, %d orders on their way", len(w.payments), v.onTheirWay())
}

// agrees leaves it to the provider to keep a record of what never came to be: of
// a decline that nobody heard, or a release of nothing.
func (o order) agrees(theirs payment.Payment) bool {
	if o.payment == payment.StateNone {
		return theirs.State == "" || theirs.State == payment.StateNone || theirs.State == payment.StateDeclined
	}
	inPart := o.payment == payment.StateCaptured && o.refunded != theirs.Refunded
	return o.payment == theirs.State && o.paid == theirs.Amount && !inPart
}

func (o order) says() string {
	if o.payment == payment.StateNone {
		return "no payment"
	}
	return fmt.Sprintf("%s %s", o.payment, o.paid) + inPart(o.payment, o.refunded, o.paid.Currency)
}

// inPart tells how much of a payment that is still captured was given back, if any was.
func inPart(state payment.State, refunded int64, currency string) string {
	if state != payment.StateCaptured || refunded == 0 {
		return ""
	}
	return fmt.Sprintf(" with %s refunded", events.Money{Amount: refunded, Currency: currency})
}

func recordSays(theirs payment.Payment, found bool) string {
	if !found {
		return "no payment"
	}
	return fmt.Sprintf("%s %s", theirs.State, theirs.Amount) + inPart(theirs.State, theirs.Refunded, theirs.Amount.Currency)
}

// sums are what the movements of one payment come to, in minor units.
type sums struct {
	authorised, captured, voided, refunded int64
}

func (s sums) held() int64 { return s.authorised - s.captured - s.voided }
func (s sums) kept() int64 { return s.captured - s.refunded }
func (s sums) empty() bool { return s.held() == 0 && s.kept() == 0 }

func (s *sums) add(kind payment.Kind, amount int64) {
	switch kind {
	case payment.KindAuthorise:
		s.authorised += amount
	case payment.KindCapture:
		s.captured += amount
	case payment.KindVoid:
		s.voided += amount
	case payment.KindRefund:
		s.refunded += amount
	case payment.KindDecline: // moves nothing
	}
}

// pot is a payment, in a currency: what no two movements of one should differ in.
type pot struct {
	payment, currency string
}

// account is what the provider's ledger says of one order.
type account map[pot]sums

// readLedger lists the movements by order, in the order in which they happened.
func readLedger(ctx context.Context, provider *payment.Client) (map[string][]payment.Movement, error) {
	moves := map[string][]payment.Movement{}
	for one, err := range provider.Movements(ctx) {
		if err != nil {
			return nil, err
		}
		moves[one.OrderID] = append(moves[one.OrderID], one)
	}
	return moves, nil
}

func accountOf(moves []payment.Movement) account {
	a := account{}
	for _, one := range moves {
		key := pot{one.PaymentID, one.Amount.Currency}
		s := a[key]
		s.add(one.Kind, one.Amount.Amount)
		a[key] = s
	}
	return a
}

// compareLedger holds the provider's ledger against our rows.
func compareLedger(v view, w world) (violations []string, remark string) {
	for id, own := range v.after.orders {
		theirs := accountOf(w.moves[id])
		switch {
		case v.stands(id) && !theirs.is(own.due()):
			violations = append(violations, fmt.Sprintf("order %s: our database says %s of an order of %s, the provider's ledger %s",
				id, own.says(), own.total, theirs.says(own.total.Currency)))
		case !theirs.within(own.total):
			violations = append(violations, fmt.Sprintf("order %s: our database says %s of an order of %s on its way, the provider's ledger %s",
				id, own.says(), own.total, theirs.says(own.total.Currency)))
		}
	}
	movements := 0
	for id, moves := range w.moves {
		movements += len(moves)
		theirs := accountOf(moves)
		if _, known := v.after.orders[id]; !known && len(theirs.pots()) > 0 {
			violations = append(violations, fmt.Sprintf("order %s: our database knows no such order, the provider's ledger %s", id, theirs.says("")))
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d movements", movements)
}

// due is what the provider holds and keeps if our database is right.
func (o order) due() (held, kept events.Money) {
	none := events.Money{Currency: o.total.Currency}
	switch o.payment {
	case payment.StateAuthorised:
		return o.total, none
	case payment.StateCaptured:
		return none, events.Money{Amount: o.total.Amount - o.refunded, Currency: o.total.Currency}
	default: // nothing was held, or it was given back
		return none, none
	}
}

// is tells whether exactly this is held and kept, in one payment.
func (a account) is(held, kept events.Money) bool {
	s, pots := a.in(held.Currency), a.pots()
	return s.held() == held.Amount && s.kept() == kept.Amount && len(pots) <= 1 && a.onlyIn(held.Currency)
}

// within tells whether this can be an order on its way: at most its total is
// held or kept, in one payment.
func (a account) within(total events.Money) bool {
	s, pots := a.in(total.Currency), a.pots()
	return s.held() >= 0 && s.kept() >= 0 && s.held()+s.kept() <= total.Amount && len(pots) <= 1 && a.onlyIn(total.Currency)
}

// pots are those that money is in.
func (a account) pots() []pot {
	var full []pot
	for key, s := range a {
		if !s.empty() {
			full = append(full, key)
		}
	}
	return full
}

func (a account) onlyIn(currency string) bool {
	return !slices.ContainsFunc(a.pots(), func(p pot) bool { return p.currency != currency })
}

// in is what all payments in a currency come to.
func (a account) in(currency string) sums {
	var all sums
	for key, s := range a {
		if key.currency == currency {
			all.authorised += s.authorised
			all.captured += s.captured
			all.voided += s.voided
			all.refunded += s.refunded
		}
	}
	return all
}

// says tells what is held and kept in each currency, and how it came to that.
// The order's own currency is always among them, unless it is unknown.
func (a account) says(currency string) string {
	seen := map[string]bool{currency: currency != ""}
	for key := range a {
		seen[key.currency] = true
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(seen)) {
		if seen[code] {
			parts = append(parts, a.in(code).says(code))
		}
	}
	text := strings.Join(parts, ", and ")
	if full := len(a.pots()); full > 1 {
		text += fmt.Sprintf(", in %d payments", full)
	}
	return text
}

func (s sums) says(currency string) string {
	money := func(amount int64) events.Money { return events.Money{Amount: amount, Currency: currency} }
	return fmt.Sprintf("holds %s and keeps %s (authorised %s, captured %s, voided %s, refunded %s)",
		money(s.held()), money(s.kept()), money(s.authorised), money(s.captured), money(s.voided), money(s.refunded))
}
