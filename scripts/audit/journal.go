package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// transfer is one of our journal of money.
type transfer struct {
	// kind is the provider's word for it, or correction.
	kind          payment.Kind
	amount        events.Money
	debit, credit string
}

// correction is a transfer that takes others back. The provider has none.
const correction payment.Kind = "correction"

// compareJournal holds our journal of money against the provider's ledger, of the
// orders that stood still: both were written by others, at other times, and out of
// other reasons, so what they agree on did happen.
func compareJournal(v view, w world) (violations []string, remark string) {
	transfers := 0
	for id := range v.after.orders {
		ours, theirs := v.after.journal[id], w.moves[id]
		transfers += len(ours)
		if v.stands(id) && !agree(ours, theirs) {
			violations = append(violations, fmt.Sprintf("order %s: our journal says %s, the provider's ledger %s",
				id, transfersSay(ours), movesSay(theirs)))
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d transfers", transfers)
}

// agree tells whether both tell of the same movements. Where somebody had to correct
// the journal it need only come to the same.
func agree(ours []transfer, theirs []payment.Movement) bool {
	if slices.ContainsFunc(ours, func(t transfer) bool { return t.kind == correction }) {
		return accountOf(theirs).is(balances(ours))
	}
	theirs = slices.DeleteFunc(slices.Clone(theirs), func(m payment.Movement) bool { return m.Kind == payment.KindDecline })
	ours = slices.Clone(ours)
	// Returns of an order may be carried out in any order, and written down in another.
	slices.SortStableFunc(ours, func(a, b transfer) int { return byRefund(a.kind, b.kind, a.amount, b.amount) })
	slices.SortStableFunc(theirs, func(a, b payment.Movement) int { return byRefund(a.Kind, b.Kind, a.Amount, b.Amount) })
	return slices.EqualFunc(ours, theirs, func(t transfer, m payment.Movement) bool { return t.kind == m.Kind && t.amount == m.Amount })
}

// byRefund sorts refunds by their amounts, behind everything else, which stays as it is.
func byRefund(kind, other payment.Kind, amount, otherAmount events.Money) int {
	switch {
	case kind == payment.KindRefund && other == payment.KindRefund:
		return cmp.Compare(amount.Amount, otherAmount.Amount)
	case kind == payment.KindRefund:
		return 1
	case other == payment.KindRefund:
		return -1
	default:
		return 0
	}
}

// balances are what the transfers of an order come to. They are of one currency,
// as payments keep theirs.
func balances(all []transfer) (held, kept events.Money) {
	held.Currency, kept.Currency = all[0].amount.Currency, all[0].amount.Currency
	for _, t := range all {
		for account, balance := range map[string]*int64{"held": &held.Amount, "captured": &kept.Amount} {
			if t.debit == account {
				*balance -= t.amount.Amount
			}
			if t.credit == account {
				*balance += t.amount.Amount
			}
		}
	}
	return held, kept
}

func transfersSay(all []transfer) string {
	var moves []payment.Movement
	for _, t := range all {
		moves = append(moves, payment.Movement{Kind: t.kind, Amount: t.amount})
	}
	return movesSay(moves)
}

func movesSay(moves []payment.Movement) string {
	if len(moves) == 0 {
		return "nothing"
	}
	return list(moves)
}
