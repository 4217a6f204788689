package function

import (
	"net/mail"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
)

// newsOf tells what a customer is to be told because of an event. Steps in
// between, which only the shop cares for, are no news.
func newsOf(data events.Data) (letter.News, bool) {
	switch e := data.(type) {
	case events.PaymentVerified:
		return letter.News{Change: letter.Placed}, true
	case events.OrderShipped:
		return letter.News{Change: letter.Shipped, Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}, true
	case events.OrderCancelled:
		return letter.News{Change: letter.Cancelled, Reason: e.Reason, Short: e.Short}, true
	default:
		return letter.News{}, false
	}
}

// deliverable tells whether text is one plain address and nothing that would
// be read as more: a second recipient, a comment, a line break.
func deliverable(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

// mailOf puts a letter into an envelope.
func mailOf(change letter.Change, orderID uuid.UUID, from, to mail.Address, written letter.Letter) sendgrid.Mail {
	to.Name = letter.PlainName(to.Name)
	return sendgrid.Mail{
		From: from, To: to, Subject: written.Subject, Text: written.Text, HTML: written.HTML,
		Category: string(change),
		Args:     map[string]string{"order_id": orderID.String(), "change": string(change)},
	}
}
