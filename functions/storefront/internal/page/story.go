package page

import (
	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
)

// tell puts where an order stands into words.
func tell(v order.View) story {
	switch v.Status {
	case events.StatusPlaced:
		return story{Heading: say("We have your order"), Text: say("Your card is being checked. This page keeps up by itself.")}
	case events.StatusPaymentVerified:
		return story{Heading: say("Your card is good"), Text: say("Now we’re taking your things off the shelf.")}
	case events.StatusInventoryUpdated:
		return story{Heading: say("Everything is set aside"), Text: say("Your parcel is being packed and labelled.")}
	case events.StatusShipped:
		return story{
			Heading: say("It’s on its way"), Text: say("Your parcel has left the house."),
			Money: charged(v),
		}
	case events.StatusCancelled:
		return story{Heading: say("This order is cancelled"), Text: why(v.CancelReason), Money: whatOfTheMoney(v)}
	}
	return story{Heading: say("We have your order")}
}

// charged tells what the card was charged, and what returns have given back.
func charged(v order.View) phrase {
	if back := v.Refunded(); back.Amount > 0 {
		return say("Your card was charged %s. %s of it goes back to your card.", v.Total, back)
	}
	return say("Your card was charged %s.", v.Total)
}

func why(reason events.Reason) phrase {
	switch reason {
	case events.ReasonPaymentDeclined:
		return say("The bank declined the card, so we didn’t pack anything. You’re welcome to try another one.")
	case events.ReasonPaymentExpired:
		return say("The bank’s approval ran out before we could ship.")
	case events.ReasonOutOfStock:
		return say("Somebody was faster: there isn’t enough left for all of it, and we don’t send half orders.")
	case events.ReasonCustomerRequest:
		return say("As you wished.")
	case events.ReasonOperatorRequest:
		return say("We looked at it, and can’t send it. Reply to our mail if you don’t know why.")
	}
	return say("Nothing will be sent.")
}

func whatOfTheMoney(v order.View) phrase {
	if v.Payment == nil {
		return say("Nothing was charged.")
	}
	switch v.Payment.State {
	case "authorised":
		return say("%s is reserved on your card and is being released now.", v.Total)
	case "voided":
		return say("The %s reserved on your card has been released. Nothing was charged.", v.Total)
	case "captured":
		return say("%s was charged and is being paid back now.", v.Total)
	case "refunded":
		return say("%s has been paid back to your card.", v.Total)
	}
	return say("Nothing was charged.")
}

// paid says what a receipt must: whether the money has changed hands.
func paid(v order.View) phrase {
	switch {
	case v.Status == events.StatusCancelled:
		return whatOfTheMoney(v)
	case v.Payment != nil && v.Payment.State == "captured":
		return say("Paid by card: %s.", v.Total)
	case v.Payment != nil && v.Payment.State == "refunded":
		return say("%s has been paid back to your card.", v.Total)
	}
	return say("Not paid yet: your card is charged when the parcel ships.")
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
		all = append(all, step{Title: say("Cancelled"), Text: say("Nothing will be sent."), At: stopped.At, State: "stopped"})
	}
	for _, one := range v.Timeline {
		if one.Returned() {
			text := say("%s goes back to your card.", events.Money{Amount: one.Refund, Currency: v.Total.Currency})
			all = append(all, step{Title: say("Taken back"), Text: text, At: one.At, State: "done"})
		}
	}
	return all
}

// station is a status on the way of an order, before and after it is reached.
type station struct {
	status             events.Status
	coming, done, text phrase
}

func stations() []station {
	return []station{
		{events.StatusPlaced, say("Order"), say("Order placed"), say("We wrote it down, and ask your bank.")},
		{events.StatusPaymentVerified, say("Checking your card"), say("Payment approved"), say("The bank holds the amount until we ship. A mail is on its way to you.")},
		{events.StatusInventoryUpdated, say("Setting things aside"), say("Set aside for you"), say("Everything you ordered is off the shelf.")},
		{events.StatusShipped, say("Packing and shipping"), say("Handed to the carrier"), say("Packed, labelled, and out of the door.")},
	}
}
