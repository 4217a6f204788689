package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// fates are what SendGrid has told of the copies of one mail: their last word, by
// message id.
type fates map[string]string

// readFates reads the evidence of mails. Bounced and the like is the last word of a
// mail whenever it was told; delivered is, before it was only on its way.
func readFates(ctx context.Context, tx pgx.Tx) (map[string]fates, error) {
	told := map[string]fates{}
	var order, change, message, kind string
	err := each(ctx, tx, `
		select distinct on (order_id, change, message_id) order_id::text, change, message_id, kind
		from mail_events
		order by order_id, change, message_id,
		         array_position(array['spamreport', 'bounce', 'blocked', 'dropped', 'delivered', 'deferred', 'processed'], kind)`,
		[]any{&order, &change, &message, &kind},
		func() {
			key := mailKey(order, change)
			if told[key] == nil {
				told[key] = fates{}
			}
			told[key][message] = kind
		})
	if err != nil {
		return nil, fmt.Errorf("read mail events: %w", err)
	}
	return told, nil
}

// compareFates wants what SendGrid told of mails to be of mails that it has. Of one
// that arrived it may not have told yet, so that is only counted.
func compareFates(v view, w world) (violations []string, remark string) {
	count := map[string]int{}
	for key, told := range v.before.fates {
		for id, kind := range told {
			if slices.ContainsFunc(w.mails[key], func(m message) bool { return m.MessageID == id }) {
				count[kind]++
				continue
			}
			violations = append(violations, fmt.Sprintf("%s: our database has evidence of a mail that is %s, the mailbox doesn't have it", key, kind))
		}
	}
	arrived, told := 0, 0
	for key, mails := range w.mails {
		arrived += len(mails)
		for _, one := range mails {
			if v.after.fates[key][one.MessageID] != "" {
				told++
			}
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d delivered, %d bounced, %d blocked, %d dropped, %d called spam, %d on their way; %d not told of",
		count["delivered"], count["bounce"], count["blocked"], count["dropped"], count["spamreport"], count["deferred"]+count["processed"], arrived-told)
}
