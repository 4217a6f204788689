package function

import (
	"fmt"
	"slices"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// next is what follows from the provider's answer.
func next(order events.OrderPlaced, answer payment.Payment) events.Data {
	if reason, impossible := answer.CancelReason(); impossible {
		return events.OrderCancelled{
			OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total, Reason: reason,
		}
	}
	return events.PaymentVerified{
		OrderID: order.OrderID, Number: order.Number, Lines: order.Lines, Total: order.Total, PaymentID: answer.ID,
	}
}

// checkTotal holds what an event says against what the order owes: nobody is
// charged on an event's word.
func checkTotal(told, due events.Money) error {
	if told != due {
		return fmt.Errorf("order owes %s, but the event says %s", due, told)
	}
	return nil
}

// checkAuthorised holds the provider's answer against what it was asked for.
func checkAuthorised(answer payment.Payment, asked events.Money) error {
	switch {
	case answer.ID == "" || !slices.Contains(payment.States(), answer.State):
		return fmt.Errorf("payment provider answers with no payment, but %q", answer.State)
	case answer.Amount != asked:
		return fmt.Errorf("payment provider was asked for %s, and answers with %s", asked, answer.Amount)
	default:
		return nil
	}
}
