package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// What an order's money comes to in the end doesn't show what its customer saw
// meanwhile: one who is charged three times and refunded twice has three charges
// on the statement. So the movements are looked at one by one.

// course is what was done with an order's money, step by step.
type course []payment.Kind

// courses are those that there may be, by what our database says in the end.
// Money that is on its way is on one of them. A declined payment was never held,
// or its hold was given back when the capture was declined.
func courses() map[payment.State][]course {
	const hold, void, capture, refund = payment.KindAuthorise, payment.KindVoid, payment.KindCapture, payment.KindRefund
	return map[payment.State][]course{
		payment.StateNone:       {nil},
		payment.StateDeclined:   {nil, {hold, void}},
		payment.StateAuthorised: {{hold}},
		payment.StateVoided:     {{hold, void}},
		payment.StateCaptured:   {{hold, capture}},
		payment.StateRefunded:   {{hold, capture, refund}},
	}
}

// coursesOf are those of an order: one that was returned in part was refunded, too.
func coursesOf(own order) []course {
	if own.payment == payment.StateCaptured && own.refunded > 0 {
		return courses()[payment.StateRefunded]
	}
	return courses()[own.payment]
}

// compareMoves wants the money of each order to have been held at most once, then
// captured at most once or given back, and refunded at most once after that: by
// one payment, the one on record, and its total each time. What has shipped may be
// refunded in parts, by its returns.
//
// Who is captured is an order that had its units reserved, for nobody else ever
// asks for a capture. If such an order is cancelled, it lost the race with its
// own shipment: it was its customer who cancelled, while shipment-preparation was
// at the provider, and all of the capture is refunded. No other cancelled order is
// ever captured, refunded or not, and neither is one that we know nothing of. When
// within the race the capture happened is not for two clocks to say; a capture
// behind the release is no course that money may take.
func compareMoves(v view, w world) (violations []string, remark string) {
	captures := 0
	for id, moves := range w.moves {
		own, known := v.after.orders[id]
		captures += len(slices.DeleteFunc(stepsOf(moves), func(kind payment.Kind) bool { return kind != payment.KindCapture }))
		switch wrong := wrongMoves(own, moves, v.stands(id)); {
		case !known && slices.Contains(stepsOf(moves), payment.KindCapture):
			violations = append(violations, fmt.Sprintf("order %s: our database knows no such order, the provider's ledger says %s", id, list(moves)))
		case known && wrong != "":
			violations = append(violations, fmt.Sprintf("order %s: our database says %s of an order of %s, the provider's ledger says %s: %s",
				id, own.says(), own.total, list(moves), wrong))
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d captures", captures)
}

// wrongMoves says what is wrong with the movements of an order's money, or "".
func wrongMoves(own order, moves []payment.Movement, stands bool) string {
	steps := stepsOf(moves)
	if own.status == events.StatusShipped {
		steps = steps.refundsAsOne()
	}
	switch {
	case !steps.among(allCourses()):
		return "no course that money may take"
	case slices.ContainsFunc(moves, func(m payment.Movement) bool { return m.PaymentID != moves[0].PaymentID }):
		return "in more than one payment"
	case slices.ContainsFunc(moves, func(m payment.Movement) bool { return !own.mayMove(m) }):
		return "not its total"
	}
	if wrong := wrongCapture(own, steps, stands); wrong != "" || !stands {
		return wrong
	}
	switch {
	case !steps.among(coursesOf(own)):
		return "not the course of what our database says"
	case own.payment != payment.StateNone && len(moves) > 0 && moves[0].PaymentID != own.paymentID:
		return "of another payment than the one on record"
	}
	return ""
}

// mayMove tells whether an amount is the order's: its total, or a part that is refunded
// of what has shipped.
func (o order) mayMove(m payment.Movement) bool {
	inPart := o.status == events.StatusShipped && m.Kind == payment.KindRefund && m.Amount.Currency == o.total.Currency
	return inPart || m.Amount == o.total
}

// refundsAsOne leaves out the refunds that follow another.
func (c course) refundsAsOne() course {
	first := slices.Index(c, payment.KindRefund)
	if first < 0 {
		return c
	}
	rest := slices.DeleteFunc(slices.Clone(c[first+1:]), func(kind payment.Kind) bool { return kind == payment.KindRefund })
	return append(slices.Clone(c[:first+1]), rest...)
}

// wrongCapture says why the order should not have been captured, or "".
func wrongCapture(own order, steps course, stands bool) string {
	cancelled := own.status == events.StatusCancelled
	switch {
	case !slices.Contains(steps, payment.KindCapture):
		return ""
	case !own.reserved:
		return "captured, and its units were never reserved"
	case cancelled && own.reason != events.ReasonCustomerRequest && own.reason != events.ReasonOperatorRequest:
		return "captured, and it was not its customer who cancelled it"
	case cancelled && stands && !slices.Contains(steps, payment.KindRefund):
		return "captured, cancelled, and not refunded"
	}
	return ""
}

func (c course) among(some []course) bool {
	return slices.ContainsFunc(some, func(one course) bool { return slices.Equal(one, c) })
}

func allCourses() []course {
	var all []course
	for _, some := range courses() {
		all = append(all, some...)
	}
	return all
}

// stepsOf leaves out declines, which move nothing.
func stepsOf(moves []payment.Movement) course {
	var steps course
	for _, one := range moves {
		if one.Kind != payment.KindDecline {
			steps = append(steps, one.Kind)
		}
	}
	return steps
}

func list(moves []payment.Movement) string {
	parts := make([]string, 0, len(moves))
	for _, one := range moves {
		parts = append(parts, fmt.Sprintf("%s %s", one.Kind, one.Amount))
	}
	return strings.Join(parts, ", ")
}
