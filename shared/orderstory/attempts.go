package orderstory

import (
	"fmt"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderstory/internal/store"
)

// asked tells each attempt at having the provider move money, when it was begun, with
// what was known of its end at the moment of the story.
func (t *teller) asked(at time.Time) {
	for _, row := range t.attempts {
		amount := events.Money{Amount: row.Amount, Currency: row.Currency}
		t.effect(Step{
			At: row.StartedAt, Kind: KindAttempt, By: row.Source, Cause: row.Cause,
			Text: fmt.Sprintf("asks the provider to %s %s, key %s: %s", row.Step, amount, row.Key, ended(row, at)),
		})
	}
}

func ended(row store.ListAttemptsRow, at time.Time) string {
	if row.EndedAt == nil || row.EndedAt.After(at) {
		return "no answer is on record"
	}
	after := fmt.Sprintf(" after %.3f s", row.EndedAt.Sub(row.StartedAt).Seconds())
	switch {
	case row.Outcome == "unknown":
		return "nobody knows (" + row.Failure + ")" + after
	case row.Failure != "":
		return "refused (" + row.Failure + ")" + after
	case row.Asked:
		return row.Outcome + after + ", as it turned out when asked; nothing was to be moved"
	default:
		return row.Outcome + after
	}
}
