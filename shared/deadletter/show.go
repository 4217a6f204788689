package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

// Account is all that there is to say about one letter.
type Account struct {
	Letter

	// Payload is what the event says, as far as it is fit to be shown: all where the
	// order's history says the same, else no free text and no field that events
	// don't have.
	Payload string `json:"payload"`
	// History is what people have done about it, first things first.
	History []Done `json:"history"`
}

// Done is one time that somebody has redriven or discarded a letter.
type Done struct {
	Action string    `json:"action"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Outcome is empty, and EndedAt nil, where it isn't over, or whoever did it
	// died: the event may have been sent.
	Outcome Outcome    `json:"outcome,omitempty"`
	EndedAt *time.Time `json:"ended_at,omitempty"`
	Error   string     `json:"error,omitempty"`
	// Times is how often the letter had come by then.
	Times int `json:"times"`
	// Sent is what was sent in place of the event's own data, fit to be shown.
	Sent string `json:"sent_instead,omitempty"`
}

// Show tells all about one letter, or returns ErrNoLetter.
func (d *Desk) Show(ctx context.Context, id int64) (Account, error) {
	var account Account
	var about kept
	err := d.pages(ctx, Filter{IDs: []int64{id}}, 1, func(page []kept) error {
		about = page[0]
		account.Letter, account.Payload = about.Letter, about.shown(about.event.Data())
		return nil
	})
	if err != nil {
		return account, err
	}
	rows, err := store.New(d.pool).ListActs(ctx, id)
	if err != nil {
		return account, fmt.Errorf("list what was done about dead letter %d: %w", id, err)
	}
	account.History = []Done{}
	for _, row := range rows {
		account.History = append(account.History, done(about, row))
	}
	return account, nil
}

func done(about kept, row store.ListActsRow) Done {
	made := Done{
		Action: row.Action, By: row.Actor, Reason: row.Reason, At: row.BeganAt.UTC(), Outcome: Outcome(row.Outcome),
		Error: row.Error, Times: int(row.Times),
	}
	if row.EndedAt != nil {
		at := row.EndedAt.UTC()
		made.EndedAt = &at
	}
	if row.Data != nil {
		made.Sent = about.shown(row.Data)
	}
	return made
}

func (k *kept) shown(data []byte) string { return shown(k.kind.Type, data, k.recorded) }
