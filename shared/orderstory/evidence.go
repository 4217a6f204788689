package orderstory

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
)

// Who tells of what became of a mail and of a payment.
const (
	sendGrid = "SendGrid"
	stripe   = "Stripe"
)

// evidence tells what the providers have told of themselves. It is theirs and no
// effect of ours; it is told when it was written down.
func (t *teller) evidence() {
	for _, row := range t.mailEvents {
		text := fmt.Sprintf("mail about %s, %s: %s", row.Change, row.MessageID, row.Kind)
		if row.Reason != "" {
			text += " (" + row.Reason + ")"
		}
		t.add(Step{
			At: row.RecordedAt, Kind: KindEvidence, By: sendGrid, Cause: causeOfMail(row.Change),
			Text: text + byTheirClock(row.At),
		})
	}
	for _, row := range t.paymentEvents {
		text := "payment " + row.ProviderID + ": " + row.Type
		said := strings.TrimSpace(row.Status + " " + row.Reason)
		if row.Amount > 0 && row.Currency != "" {
			said = strings.TrimSpace(said + " " + events.Money{Amount: row.Amount, Currency: row.Currency}.String())
		}
		if said != "" {
			text += " (" + said + ")"
		}
		t.add(Step{At: row.RecordedAt, Kind: KindEvidence, By: stripe, Text: text + byTheirClock(row.At)})
	}
}

// byTheirClock is only told: a provider's clock is its own.
func byTheirClock(at time.Time) string {
	return ", at " + at.UTC().Format("2006-01-02 15:04:05") + " by its clock"
}

// causeOfMail is the event that a mail was sent for. A confirmation is sent once the
// payment is verified.
func causeOfMail(change string) string {
	if change == "order-placed" {
		return "payment-verified"
	}
	return change
}
