package function

import (
	"errors"
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
	case events.OrderReturned:
		return letter.News{
			Change: letter.Change(events.NameOf(e)), ReturnReason: e.Reason, Returned: e.Lines, Refund: e.Refund,
		}, true
	default:
		return letter.News{}, false
	}
}

// standing is what else an order's customer was told, and is to be told.
type standing struct {
	status events.Status
	// toldOfShipping says that the mail of the shipped order was sent.
	toldOfShipping bool
	// confirming says that the order's confirmation is being sent just now.
	confirming bool
}

// superseded says that a later mail has overtaken this one, which isn't sent any more.
type superseded string

// Error implements error.
func (s superseded) Error() string { return string(s) }

// errConfirming is answered by 503: the mail goes when the confirmation has.
var errConfirming = errors.New("the order's confirmation is being sent")

// timely tells whether it is the time for a mail, or why it isn't.
//
// A confirmation may come late, after errors or a loss in Kafka. "We have your
// order" is not to arrive behind "is cancelled", nor behind "is on its way",
// which says all that it would have said. And for as long as a confirmation is
// being sent, which may take seconds, the later mails wait for it. A
// cancellation is committed before anybody hears of it, and a confirmation is
// claimed before it looks at its order: so one of the two sees the other.
func timely(change letter.Change, s standing) error {
	switch {
	case change == letter.Link:
		return nil // asked for by hand, and at any time
	case change != letter.Placed && s.confirming:
		return errConfirming
	case change == letter.Placed && s.status == events.StatusCancelled:
		return superseded("the order is cancelled")
	case change == letter.Placed && s.toldOfShipping:
		return superseded("the customer knows that the order is shipped")
	default:
		return nil
	}
}

// refusal is why a mail will never be sent, as the record has it. All but
// errMailRefused lie with the recipient, and nobody can do anything about them.
type refusal string

const (
	errContactErased  refusal = "contact_erased"  // there is nobody to write to any more
	errAddressInvalid refusal = "address_invalid" // what stands there is no address
	errAddressRefused refusal = "address_refused" // SendGrid doesn't take the address
	errMailRefused    refusal = "mail_refused"    // SendGrid doesn't take the mail
)

// Error implements error.
func (r refusal) Error() string {
	if r == errContactErased {
		return "mail refused: the contact of the order was erased"
	}
	return "mail refused: not a mail address"
}

// refusalOf finds the refusal in an error, if it is one.
func refusalOf(err error) (refusal, bool) {
	if ours, ok := errors.AsType[refusal](err); ok {
		return ours, true
	}
	theirs, ok := errors.AsType[*sendgrid.RefusalError](err)
	switch {
	case !ok:
		return "", false
	case theirs.OfRecipient():
		return errAddressRefused, true
	default:
		return errMailRefused, true
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
		Category: events.TopicOf(string(change)),
		Args:     map[string]string{"order_id": orderID.String(), "change": string(change)},
	}
}
