package orderstory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderstory/internal/store"
)

// The functions whose effects are rows of their own.
const (
	verification = "payment-verification"
	inventory    = "inventory-update"
	shipment     = "shipment-preparation"
	cancellation = "order-cancellation"
	notification = "customer-notification"
)

// The aspects of an order's state.
const (
	aspectStatus  = "status"
	aspectPayment = "payment"
	aspectUnits   = "units"
	aspectParcel  = "parcel"
	aspectMail    = "mail "
)

// payment tells the steps of the payment, which are the transfers of its journal,
// and a decline, which moves nothing.
func (t *teller) payment() {
	for _, row := range t.payments {
		for _, moved := range t.money {
			t.moved(row, moved)
		}
		if row.State == "declined" && !t.wasHeld() {
			t.paid(verification, "order-placed", row.State, declined(row), row.ClosedAt)
		}
	}
}

func (t *teller) moved(row store.ListPaymentsRow, moved store.ListMoneyTransfersRow) {
	amount := events.Money{Amount: moved.Amount, Currency: moved.Currency}.String()
	if moved.Actor != "" {
		t.byHand(KindPayment, "payment: "+amount+" "+moved.Kind, moved.Actor, moved.Reason, moved.At)
		return
	}
	switch moved.Kind {
	case "authorise":
		by, cause := t.verifier(row.State == "voided" || row.State == "refunded")
		t.paid(by, cause, "authorised", fmt.Sprintf("%s held as %s", amount, row.ProviderID), row.AuthorisedAt)
	case "capture":
		by, cause := shipment, "inventory-updated"
		if _, handled := t.handled[delivery{by, cause}]; !handled && row.State == "refunded" {
			by, cause = t.closer() // it gave back what was captured, and nobody lived to write that down
		}
		t.paid(by, cause, "captured", amount+" captured", row.CapturedAt)
	case "void":
		if row.State == "declined" { // it was held, and couldn't be captured
			t.paid(shipment, "inventory-updated", row.State, declined(row), row.ClosedAt)
			return
		}
		by, cause := t.closer()
		t.paid(by, cause, "voided", amount+" voided", row.ClosedAt)
	case "refund":
		if kind, known := events.ByName(moved.Cause); known && kind.Repeats {
			t.refunded(row, moved, amount)
			return
		}
		by, cause := t.closer()
		t.paid(by, cause, "refunded", amount+" refunded", row.ClosedAt)
	}
}

// refunded tells of the refund of a return, after which the payment is still captured
// unless nothing is left.
func (t *teller) refunded(row store.ListPaymentsRow, moved store.ListMoneyTransfersRow, amount string) {
	t.back += moved.Amount
	state := "captured, " + events.Money{Amount: t.back, Currency: moved.Currency}.String() + " refunded"
	if t.back == row.Amount {
		state = "refunded"
	}
	t.together(Step{
		Kind: KindPayment, By: cancellation, Cause: moved.Cause, Text: "payment: " + amount + " refunded",
		aspect: aspectPayment, value: state,
	})
}

func (t *teller) wasHeld() bool {
	return slices.ContainsFunc(t.money, func(moved store.ListMoneyTransfersRow) bool { return moved.Kind == "authorise" })
}

func declined(row store.ListPaymentsRow) string {
	amount := events.Money{Amount: row.Amount, Currency: row.Currency}
	return fmt.Sprintf("%s declined (%s)", amount, row.DeclineCode)
}

// byHand tells of what is no function's doing, and needs no cause.
func (t *teller) byHand(kind Kind, text, actor, reason string, at time.Time) {
	if reason != "" {
		text += " (" + reason + ")"
	}
	if !strings.HasPrefix(actor, "database user ") {
		actor = "operator " + actor
	}
	t.add(Step{At: at, Kind: kind, By: actor, Text: text})
}

// paid tells one step. The provider's time is only told: its clock is its own.
func (t *teller) paid(by, cause, state, text string, at *time.Time) {
	if at != nil {
		text += ", at " + at.UTC().Format("15:04:05.000") + " by the provider's clock"
	}
	t.together(Step{Kind: KindPayment, By: by, Cause: cause, Text: "payment: " + text, aspect: aspectPayment, value: state})
}

// verifier is who has written down that the money is held: payment-verification, or
// whoever gave it back, where that was first to write of the payment.
func (t *teller) verifier(closed bool) (by, cause string) {
	verified, handled := t.handled[delivery{verification, "order-placed"}]
	if by, cause = t.closer(); closed {
		if at, is := t.handled[delivery{by, cause}]; is && (!handled || at.Before(verified)) {
			return by, cause
		}
	}
	return verification, "order-placed"
}

// closer is who has given the money back: order-cancellation, or the stage that
// found the order cancelled, or the hold run out.
func (t *teller) closer() (by, cause string) {
	if t.order.CancelReason == string(events.ReasonPaymentExpired) {
		return shipment, "inventory-updated"
	}
	for _, d := range []delivery{{cancellation, "order-cancelled"}, {shipment, "inventory-updated"}, {verification, "order-placed"}} {
		if _, handled := t.handled[d]; handled {
			return d.by, d.cause
		}
	}
	return cancellation, "order-cancelled"
}

// goods tells what became of the units, and of the parcel with its label.
func (t *teller) goods() {
	t.transferred("reserve", "reserved", inventory, "payment-verified")
	t.transferred("ship", "shipped", shipment, "inventory-updated")
	t.transferred("release", "released", cancellation, "order-cancelled")
	t.restocked()
	for _, row := range t.units {
		if row.Actor != "" {
			text := fmt.Sprintf("units: %d %s %s, from %s to %s", row.Quantity, row.Sku, row.Kind, row.Debit, row.Credit)
			t.byHand(KindUnits, text, row.Actor, row.Reason, row.At)
		}
	}
	for _, row := range t.shipments {
		parcel := row.Carrier + " " + row.TrackingNumber
		t.together(Step{
			Kind: KindParcel, By: shipment, Cause: "inventory-updated", Text: "parcel: " + parcel + ", label " + row.LabelKey,
			aspect: aspectParcel, value: parcel,
		})
	}
}

// restocked tells what returns have put on sale again.
func (t *teller) restocked() {
	for _, event := range t.events {
		if kind, known := events.ByName(event.Name); !known || !kind.Repeats || event.Type == "" {
			continue
		}
		if text := t.unitsOf("return", event.Name); text != "" {
			t.together(Step{Kind: KindUnits, By: cancellation, Cause: event.Name, Text: "units: " + text + " for sale again"})
		}
	}
}

// unitsOf lists what functions have moved in one way, because of one event if one is
// named.
func (t *teller) unitsOf(kind, cause string) string {
	var units []string
	for _, row := range t.units {
		if row.Kind == kind && row.Actor == "" && (cause == "" || row.Cause == cause) {
			units = append(units, fmt.Sprintf("%d %s", row.Quantity, row.Sku))
		}
	}
	return strings.Join(units, ", ")
}

// transferred tells what a function has moved of all lines at once.
func (t *teller) transferred(kind, what, by, cause string) {
	if text := t.unitsOf(kind, ""); text != "" {
		text += " " + what
		t.together(Step{Kind: KindUnits, By: by, Cause: cause, Text: "units: " + text, aspect: aspectUnits, value: text})
	}
}

// mail tells of the mails.
func (t *teller) mail() {
	for _, row := range t.mails {
		cause := causeOfMail(row.Change)
		at := row.ClaimedAt
		if row.SentAt != nil {
			at = *row.SentAt
		}
		t.effect(Step{
			At: at, Kind: KindMail, By: notification, Cause: cause, Text: "mail about " + row.Change + ": " + letter(row),
			aspect: aspectMail + row.Change, value: row.State,
		})
	}
}

func letter(row store.ListMailsRow) string {
	text := row.State
	switch {
	case row.State == "sent" && row.ByEvidence:
		text += " as " + row.MessageID + ", which only SendGrid's webhook told"
	case row.State == "sent":
		text += " as " + row.MessageID
	case row.RefusedFor != "":
		text += " for good: " + row.RefusedFor
	}
	if row.Attempts > 1 {
		text += fmt.Sprintf(", at attempt %d", row.Attempts)
	}
	if row.Uncertain > 0 {
		text += fmt.Sprintf(", of %d earlier ones nobody knows how they ended", row.Uncertain)
	}
	if row.State == "sending" && row.LastError != "" {
		text += ", the last one failed: " + row.LastError
	}
	return text
}

// trouble tells what no function would take, and what people did about it.
func (t *teller) trouble() {
	for _, row := range t.letters {
		text := fmt.Sprintf("dead letter %d: %s refused", row.ID, eventOf(row.EventType, row.EventID))
		if row.Times > 1 {
			text += fmt.Sprintf(" %d times, last at %s", row.Times, row.LastAt.UTC().Format("2006-01-02 15:04:05"))
		}
		text += strings.TrimRight(fmt.Sprintf(": %s %s", row.ErrorCode, strings.TrimSpace(row.ErrorData)), ": ")
		step := Step{At: row.FirstAt, Kind: KindRefused, By: t.addresses.Function(row.ErrorDest), Text: text}
		if _, happened := t.happened[eventOf(row.EventType, row.EventID)]; happened {
			step.Cause = eventOf(row.EventType, row.EventID)
		}
		t.add(step)
	}
	for _, row := range t.acts {
		text := fmt.Sprintf("dead letter %d: %s of %s", row.LetterID, row.Action, eventOf(row.EventType, row.EventID))
		if row.Edited {
			text += " with other data"
		}
		if row.Reason != "" {
			text += " (" + row.Reason + ")"
		}
		switch row.Outcome {
		case "":
			text += ", end unknown"
		case "failed":
			text += ", failed: " + row.Error
		default:
			text += ", " + row.Outcome
		}
		t.add(Step{At: row.BeganAt, Kind: KindLetter, By: "operator " + row.Actor, Text: text})
	}
}

// eventOf is the name by which the history knows a dead letter's event.
func eventOf(eventType, id string) string {
	kind, known := events.ByType(eventType)
	if !known {
		return eventType
	}
	if _, name, _ := strings.Cut(id, "/"); kind.Repeats {
		if same, is := events.ByName(name); is && same.Name == kind.Name {
			return name
		}
	}
	return kind.Name
}

// fold makes the state of what was done until then.
func (t *teller) fold(at time.Time, steps []Step) State {
	values := map[string]string{}
	var state State
	for _, step := range steps {
		if change, mail := strings.CutPrefix(step.aspect, aspectMail); mail {
			if state.Mails == nil {
				state.Mails = map[string]string{}
			}
			state.Mails[change] = step.value
			continue
		}
		values[step.aspect] = step.value
	}
	state.Status, state.Payment = values[aspectStatus], values[aspectPayment]
	state.Units, state.Parcel = values[aspectUnits], values[aspectParcel]
	for name, happened := range t.happened {
		kind, known := events.ByName(name)
		if !known || happened.After(at) {
			continue
		}
		for _, reader := range kind.ReadBy {
			if handled, is := t.handled[delivery{reader, name}]; is && !handled.After(at) {
				continue
			}
			if state.Waiting == nil {
				state.Waiting = map[string][]string{}
			}
			state.Waiting[name] = append(state.Waiting[name], reader)
		}
	}
	return state
}
