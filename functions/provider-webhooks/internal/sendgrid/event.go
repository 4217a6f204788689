package sendgrid

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// event is what is kept of an event: whose mail it is about, and what became of it.
// The address and the texts that mail servers answer, which repeat it, are not read.
type event struct {
	id, change, kind, messageID, reason string
	order                               uuid.UUID
	at                                  time.Time
}

// verdict is what one element of a batch is to us.
type verdict int

const (
	ours verdict = iota
	// ignored is about no mail of an order, or of a kind that says nothing of its way.
	ignored
	// malformed is nothing that SendGrid's documentation describes.
	malformed
)

// payload are the fields of SendGrid's event that are looked at. The custom
// arguments of the mail stand beside them.
type payload struct {
	Event          string `json:"event"`
	Type           string `json:"type"`
	ID             string `json:"sg_event_id"`
	MessageID      string `json:"sg_message_id"`
	Timestamp      int64  `json:"timestamp"`
	Status         string `json:"status"`
	Reason         string `json:"reason"`
	Classification string `json:"bounce_classification"`
	OrderID        string `json:"order_id"`
	Change         string `json:"change"`
}

// plain is what SendGrid's ids are made of.
var plain = regexp.MustCompile(`^[A-Za-z0-9_=+/.-]{1,200}$`)

// changes are what there are mails about: one for each return of an order.
var changes = regexp.MustCompile(`^(order-placed|order-shipped|order-cancelled|order-returned/[1-9][0-9]{0,8})$`)

// lastSecond is the end of 9999, which SendGrid doesn't get to.
const lastSecond = 253_402_300_799

// read makes an event of one element of a batch.
func read(element json.RawMessage) (event, verdict) {
	var p payload
	if json.Unmarshal(element, &p) != nil || p.Event == "" {
		return event{}, malformed
	}
	kind, kept := kindOf(p)
	order, err := uuid.Parse(p.OrderID)
	if !kept || err != nil || !changes.MatchString(p.Change) {
		return event{}, ignored
	}
	if !plain.MatchString(p.ID) || !plain.MatchString(p.MessageID) || p.Timestamp <= 0 || p.Timestamp > lastSecond {
		return event{}, malformed
	}
	messageID := messageOf(p.MessageID)
	if messageID == "" {
		return event{}, malformed
	}
	return event{
		id: p.ID, order: order, change: p.Change, kind: kind, messageID: messageID,
		reason: reasonOf(p), at: time.Unix(p.Timestamp, 0).UTC(),
	}, ours
}

// kindOf leaves out what people do with a mail, and what SendGrid adds one day.
// A mail that is blocked is told as a bounce of that type.
func kindOf(p payload) (kind string, kept bool) {
	switch p.Event {
	case "bounce":
		if p.Type == "blocked" {
			return "blocked", true
		}
		return p.Event, true
	case "processed", "deferred", "delivered", "dropped", "spamreport":
		return p.Event, true
	default:
		return "", false
	}
}

// messageOf is the X-Message-Id that the mail's sender got: the id of the event
// says behind it which machine had the mail.
func messageOf(id string) string {
	for _, machine := range []string{".recvd", ".filter"} {
		if message, _, found := strings.Cut(id, machine); found {
			return message
		}
	}
	message, _, _ := strings.Cut(id, ".")
	return message
}

// reasons are the texts of SendGrid's own that say why. Whatever else stands there
// is a mail server's, and may repeat the address.
var reasons = []string{
	"Bounced Address", "Unsubscribed Address", "Spam Reporting Address", "Invalid", "Invalid SMTPAPI header", "Spam Content",
	"Recipient List over Package Quota",
	"Invalid Address", "Technical", "Content", "Reputation", "Frequency or Volume Too High", "Mailbox Unavailable", "Unclassified",
}

// enhanced is a status code of RFC 3463, as 5.1.1.
var enhanced = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}$`)

func reasonOf(p payload) string {
	var said []string
	if enhanced.MatchString(p.Status) {
		said = append(said, p.Status)
	}
	for _, text := range []string{p.Classification, p.Reason} {
		if slices.Contains(reasons, text) && !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	return strings.Join(said, " ")
}
