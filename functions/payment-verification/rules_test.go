package function

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

func euros(cents int64) events.Money { return events.Money{Amount: cents, Currency: "EUR"} }

func placed() events.OrderPlaced {
	return events.OrderPlaced{
		OrderID: "o1", Number: "OF-1", Total: euros(2500),
		Lines: []events.Line{{SKU: "TEA", Quantity: 2, UnitPrice: euros(1250)}},
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	order := placed()
	verified := events.PaymentVerified{OrderID: "o1", Number: "OF-1", Lines: order.Lines, Total: order.Total, PaymentID: "p1"}
	cancelled := func(reason events.Reason) events.Data {
		return events.OrderCancelled{OrderID: "o1", Number: "OF-1", Lines: order.Lines, Total: order.Total, Reason: reason}
	}
	for state, want := range map[payment.State]events.Data{
		payment.StateAuthorised: verified,
		payment.StateCaptured:   verified,
		payment.StateDeclined:   cancelled(events.ReasonPaymentDeclined),
		payment.StateVoided:     cancelled(events.ReasonPaymentExpired),
		payment.StateRefunded:   cancelled(events.ReasonPaymentExpired),
	} {
		got := next(order, payment.Payment{ID: "p1", State: state})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("next(%s) (-want +got):\n%s", state, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("next(%s) is no valid event: %v", state, err)
		}
	}
}

func TestCheckTotal(t *testing.T) {
	t.Parallel()
	if err := checkTotal(euros(2500), euros(2500)); err != nil {
		t.Errorf("the same total: %v", err)
	}
	for _, told := range []events.Money{euros(2499), euros(0), {Amount: 2500, Currency: "JPY"}, {}} {
		if err := checkTotal(told, euros(2500)); err == nil {
			t.Errorf("checkTotal(%s) found nothing wrong", told)
		}
	}
}

func TestCheckAuthorised(t *testing.T) {
	t.Parallel()
	good := payment.Payment{ID: "p1", State: payment.StateAuthorised, Amount: euros(2500)}
	if err := checkAuthorised(good, euros(2500)); err != nil {
		t.Errorf("what was asked for: %v", err)
	}
	for name, spoil := range map[string]func(*payment.Payment){
		"nothing":        func(p *payment.Payment) { *p = payment.Payment{} },
		"no id":          func(p *payment.Payment) { p.ID = "" },
		"none":           func(p *payment.Payment) { p.State = payment.StateNone },
		"unheard of":     func(p *payment.Payment) { p.State = "pending" },
		"too little":     func(p *payment.Payment) { p.Amount.Amount-- },
		"other currency": func(p *payment.Payment) { p.Amount.Currency = "USD" },
	} {
		answer := good
		spoil(&answer)
		if err := checkAuthorised(answer, euros(2500)); err == nil {
			t.Errorf("%s: nothing found wrong with %+v", name, answer)
		}
	}
}
