package page

import (
	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
)

// tell puts where an order stands into words.
func tell(v order.View) story {
	switch v.Status {
	case events.StatusPlaced:
		return story{Heading: "We have your order", Text: "Your card is being checked. This page keeps up by itself."}
	case events.StatusPaymentVerified:
		return story{Heading: "Your card is good", Text: "Now we’re taking your things off the shelf."}
	case events.StatusInventoryUpdated:
		return story{Heading: "Everything is set aside", Text: "Your parcel is being packed and labelled."}
	case events.StatusShipped:
		return story{
			Heading: "It’s on its way", Text: "Your parcel has left the house.",
			Money: "Your card was charged " + formatMoney(v.Total) + "." + givenBack(v),
		}
	case events.StatusCancelled:
		return story{Heading: "This order is cancelled", Text: why(v.CancelReason), Money: whatOfTheMoney(v)}
	}
	return story{Heading: "We have your order"}
}

// givenBack tells of what returns have given back.
func givenBack(v order.View) string {
	if back := v.Refunded(); back.Amount > 0 {
		return " " + formatMoney(back) + " of it goes back to your card."
	}
	return ""
}

func why(reason events.Reason) string {
	switch reason {
	case events.ReasonPaymentDeclined:
		return "The bank declined the card, so we didn’t pack anything. You’re welcome to try another one."
	case events.ReasonPaymentExpired:
		return "The bank’s approval ran out before we could ship."
	case events.ReasonOutOfStock:
		return "Somebody was faster: there isn’t enough left for all of it, and we don’t send half orders."
	case events.ReasonCustomerRequest:
		return "As you wished."
	case events.ReasonOperatorRequest:
		return "We looked at it, and can’t send it. Reply to our mail if you don’t know why."
	}
	return "Nothing will be sent."
}

func whatOfTheMoney(v order.View) string {
	if v.Payment == nil {
		return "Nothing was charged."
	}
	switch v.Payment.State {
	case "authorised":
		return formatMoney(v.Total) + " is reserved on your card and is being released now."
	case "voided":
		return "The " + formatMoney(v.Total) + " reserved on your card has been released. Nothing was charged."
	case "captured":
		return formatMoney(v.Total) + " was charged and is being paid back now."
	case "refunded":
		return formatMoney(v.Total) + " has been paid back to your card."
	}
	return "Nothing was charged."
}

// steps are the stations of an order that goes well, as far as it got, and the
// one at which it was stopped.
func steps(v order.View) []step {
	reached := map[events.Status]order.Step{}
	for _, one := range v.Timeline {
		if !one.Returned() {
			reached[one.Status] = one
		}
	}
	var all []step
	current := false
	for _, station := range stations() {
		one, done := reached[station.status]
		shown := step{Title: station.coming, State: "next"}
		switch {
		case done:
			shown = step{Title: station.done, Text: station.text, At: one.At, State: "done"}
		case v.Status == events.StatusCancelled:
			continue // what would have come
		case !current:
			shown.State, current = "current", true
		}
		all = append(all, shown)
	}
	if stopped, cancelled := reached[events.StatusCancelled]; cancelled {
		all = append(all, step{Title: "Cancelled", Text: "Nothing will be sent.", At: stopped.At, State: "stopped"})
	}
	for _, one := range v.Timeline {
		if one.Returned() {
			text := formatMoney(events.Money{Amount: one.Refund, Currency: v.Total.Currency}) + " goes back to your card."
			all = append(all, step{Title: "Taken back", Text: text, At: one.At, State: "done"})
		}
	}
	return all
}

// station is a status on the way of an order, before and after it is reached.
type station struct {
	status             events.Status
	coming, done, text string
}

func stations() []station {
	return []station{
		{events.StatusPlaced, "Order", "Order placed", "We wrote it down, and ask your bank."},
		{events.StatusPaymentVerified, "Checking your card", "Payment approved", "The bank holds the amount until we ship. A mail is on its way to you."},
		{events.StatusInventoryUpdated, "Setting things aside", "Set aside for you", "Everything you ordered is off the shelf."},
		{events.StatusShipped, "Packing and shipping", "Handed to the carrier", "Packed, labelled, and out of the door."},
	}
}
