package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// message is what the mailbox tells of a mail.
type message struct {
	MessageID  string            `json:"message_id"`
	CustomArgs map[string]string `json:"custom_args"`
}

func mailKey(order, change string) string { return order + "/" + change }

// compareMails wants a mail that is on record as sent to have arrived, with the
// message id on record, and whatever arrived to be on record, with no more
// copies than there were attempts. Both hold at every moment: an attempt is
// written down before it is made, and "sent" after.
func compareMails(v view, w world) (violations []string, remark string) {
	for key, own := range v.before.mails {
		if own.state == "sent" && !slices.Contains(w.mails[key], own.messageID) {
			violations = append(violations, fmt.Sprintf("%s: our database says sent, the mailbox doesn't have it", key))
		}
	}
	total, extra := 0, 0
	for key, ids := range w.mails {
		own, known := v.after.mails[key]
		switch {
		case !known:
			violations = append(violations, fmt.Sprintf("%s: our database says no mail, %d arrived", key, len(ids)))
		case own.state == "refused":
			violations = append(violations, fmt.Sprintf("%s: our database says refused, %d arrived", key, len(ids)))
		case len(ids) > own.attempts:
			violations = append(violations, fmt.Sprintf("%s: our database says %d attempts, %d arrived", key, own.attempts, len(ids)))
		}
		total += len(ids)
		extra += len(ids) - 1
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d mails, %d of them sent twice around a crash", total, extra)
}

// readMailbox lists the message ids by order and change.
func readMailbox(ctx context.Context, address string) (map[string][]string, error) {
	arrived := map[string][]string{}
	for before, more := "", true; more; {
		var page struct {
			Messages []message `json:"messages"`
			Next     string    `json:"next"`
		}
		if err := getJSON(ctx, address+"/api/messages?limit=200&before="+url.QueryEscape(before), &page); err != nil {
			return nil, fmt.Errorf("read mailbox: %w", err)
		}
		for _, one := range page.Messages {
			key := mailKey(one.CustomArgs["order_id"], one.CustomArgs["change"])
			arrived[key] = append(arrived[key], one.MessageID)
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
