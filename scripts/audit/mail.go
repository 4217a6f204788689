package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	netmail "net/mail"
	"net/url"
	"slices"
)

// message is what the mailbox tells of a mail.
type message struct {
	MessageID  string            `json:"message_id"`
	To         []address         `json:"to"`
	CC         []address         `json:"cc"`
	BCC        []address         `json:"bcc"`
	CustomArgs map[string]string `json:"custom_args"`
}

type address struct {
	Email string `json:"email"`
}

// only tells whether a mail went to this address and to nobody else.
func (m message) only(email string) bool {
	all := slices.Concat(m.To, m.CC, m.BCC)
	return len(all) == 1 && all[0].Email == email
}

func mailKey(order, change string) string { return order + "/" + change }

// copies is how many of a mail may have arrived: the one on record as sent, and
// one for each attempt that nobody knows the outcome of. SendGrid takes no
// idempotency key, so such an attempt is made again; one that was answered "too
// many mails" or the like has sent none.
func (m mail) copies() int {
	if m.state == "sent" || m.underway {
		return m.uncertain + 1
	}
	return m.uncertain
}

// compareMails wants a mail that is on record as sent to have arrived, with the
// message id on record, and whatever arrived to be on record, addressed to the
// order's contact, in no more copies than there may be. All of it holds at every
// moment: an attempt is written down before it is made, and "sent" after.
func compareMails(v view, w world) (violations []string, remark string) {
	for key, own := range v.before.mails {
		if own.state == "sent" && !slices.ContainsFunc(w.mails[key], func(m message) bool { return m.MessageID == own.messageID }) {
			violations = append(violations, fmt.Sprintf("%s: our database says sent, the mailbox doesn't have it", key))
		}
	}
	total, extra := 0, 0
	for key, arrived := range w.mails {
		own, known := v.after.mails[key]
		violations = append(violations, checkArrived(key, own, known, arrived)...)
		total += len(arrived)
		extra += len(arrived) - 1
	}
	count := countMails(v.after.mails)
	violations = append(violations, checkRefused(v.after.mails, count)...)
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d mails, %d of them sent again after a crash or a lost answer; %s", total, extra, count)
}

// checkArrived says what is wrong with the copies of a mail that arrived. It
// doesn't say to whom they went: a report is no place for addresses.
func checkArrived(key string, own mail, known bool, arrived []message) (violations []string) {
	switch {
	case !known:
		return []string{fmt.Sprintf("%s: our database says no mail, %d arrived", key, len(arrived))}
	case len(arrived) > own.copies():
		violations = append(violations, fmt.Sprintf("%s: our database says %s, %d attempts of unknown outcome; %d arrived", key, own.state, own.uncertain, len(arrived)))
	}
	if own.email != "" && slices.ContainsFunc(arrived, func(m message) bool { return !m.only(own.email) }) {
		violations = append(violations, fmt.Sprintf("%s: it went to somebody else than the order's contact", key))
	}
	return violations
}

// The reasons for a refusal, as the function customer-notification writes them.
const (
	contactErased  = "contact_erased"
	addressInvalid = "address_invalid"
	addressRefused = "address_refused"
)

// tally counts mails by what became of them.
type tally struct {
	sent, refused, erased, invalid, unwelcome, superseded int
}

func countMails(mails map[string]mail) (t tally) {
	for _, one := range mails {
		switch one.state {
		case "sent":
			t.sent++
		case "superseded":
			t.superseded++
		case "refused":
			t.refused++
		}
		switch one.refusedFor {
		case contactErased:
			t.erased++
		case addressInvalid:
			t.invalid++
		case addressRefused:
			t.unwelcome++
		}
	}
	return t
}

// String implements fmt.Stringer.
func (t tally) String() string {
	return fmt.Sprintf("%d superseded; %d refused: %d contact erased, %d no address, %d address refused by SendGrid, %d unexplained",
		t.superseded, t.refused, t.erased, t.invalid, t.unwelcome, t.refused-t.erased-t.invalid-t.unwelcome)
}

// checkRefused doesn't take the function's word for why mails aren't sent. That a
// contact is erased, and that no other reason lies with us, is an invariant; that
// SendGrid refuses an address only SendGrid can say. But where nobody at all is
// written to, it isn't the addresses.
func checkRefused(mails map[string]mail, count tally) (violations []string) {
	for key, one := range mails {
		if one.refusedFor == addressInvalid && isAddress(one.email) {
			violations = append(violations, fmt.Sprintf("%s: our database says no address to write to, and there is one", key))
		}
	}
	if count.refused > 0 && count.sent == 0 {
		violations = append(violations, fmt.Sprintf("no mail was sent: %s", count))
	}
	return violations
}

func isAddress(text string) bool {
	parsed, err := netmail.ParseAddress(text)
	return err == nil && parsed.Address == text
}

// readMailbox lists what arrived, by order and change.
func readMailbox(ctx context.Context, mailbox string) (map[string][]message, error) {
	arrived := map[string][]message{}
	for before, more := "", true; more; {
		var page struct {
			Messages []message `json:"messages"`
			Next     string    `json:"next"`
		}
		if err := getJSON(ctx, mailbox+"/api/messages?limit=200&before="+url.QueryEscape(before), &page); err != nil {
			return nil, fmt.Errorf("read mailbox: %w", err)
		}
		for _, one := range page.Messages {
			key := mailKey(one.CustomArgs["order_id"], one.CustomArgs["change"])
			arrived[key] = append(arrived[key], one)
		}
		before, more = page.Next, page.Next != ""
	}
	return arrived, nil
}

func getJSON(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
