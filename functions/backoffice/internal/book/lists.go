package book

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
)

// Article is the stock of one.
type Article struct {
	SKU, Name                                                         string
	OnHand, Reserved, Available, Received, Adjusted, Shipped, Opening int64
	Low                                                               bool
}

// Stock lists articles by SKU, after one; where only is true, those of which no more
// than low are left.
func (b *Book) Stock(ctx context.Context, after string, only bool, low int64) (list []Article, next string, err error) {
	rows, err := b.queries.ListStock(ctx, store.ListStockParams{After: after, LowOnly: only, Low: low, Page: PageSize + 1})
	if err != nil {
		return nil, "", fmt.Errorf("list stock: %w", err)
	}
	if len(rows) > PageSize {
		rows = rows[:PageSize]
		next = rows[PageSize-1].Sku
	}
	for _, row := range rows {
		available := row.OnHand - row.Reserved
		list = append(list, Article{
			SKU: row.Sku, Name: row.Name, OnHand: row.OnHand, Reserved: row.Reserved, Available: available, Received: row.Received,
			Adjusted: row.Adjusted, Shipped: row.Shipped, Opening: row.Opening, Low: available <= low,
		})
	}
	return list, next, nil
}

// Cause is what open dead letters have in common.
type Cause struct {
	// Address is who refused them.
	Address, Code, Type, Example string
	Letters, Times               int64
	FirstAt, LastAt              time.Time
}

// Causes groups the open dead letters, the most first.
func (b *Book) Causes(ctx context.Context) ([]Cause, error) {
	rows, err := b.queries.GroupLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	causes := make([]Cause, 0, len(rows))
	for _, row := range rows {
		causes = append(causes, Cause{
			Address: row.ErrorDest, Code: row.ErrorCode, Type: row.EventType, Example: row.Example,
			Letters: row.Letters, Times: row.Times, FirstAt: row.FirstAt.UTC(), LastAt: row.LastAt.UTC(),
		})
	}
	return causes, nil
}

// Mail is one that a customer gets, and what is known of it.
type Mail struct {
	Order                           uuid.UUID
	Change, Number, State           string
	Attempts, Uncertain             int32
	ByEvidence                      bool
	At                              time.Time
	MessageID, RefusedFor, Evidence string
}

// Mails lists them from the last order on, after one; where only is true, those that
// weren't sent.
func (b *Book) Mails(ctx context.Context, before uuid.UUID, change string, only bool) (list []Mail, more bool, err error) {
	if before == uuid.Nil {
		before, change = uuid.Max, "~"
	}
	var rows []store.ListMailsRow
	params := store.ListMailsParams{Before: before, BeforeChange: change, Page: PageSize + 1}
	if only {
		var unsent []store.ListMailsNotSentRow
		unsent, err = b.queries.ListMailsNotSent(ctx, store.ListMailsNotSentParams(params))
		for _, row := range unsent {
			rows = append(rows, store.ListMailsRow(row))
		}
	} else {
		rows, err = b.queries.ListMails(ctx, params)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list mails: %w", err)
	}
	for _, row := range rows[:min(PageSize, len(rows))] {
		at := row.ClaimedAt
		if row.SentAt != nil {
			at = *row.SentAt
		}
		list = append(list, Mail{
			Order: row.OrderID, Change: row.Change, Number: row.Number, State: row.State, Attempts: row.Attempts, Uncertain: row.Uncertain,
			ByEvidence: row.ByEvidence, At: at.UTC(), MessageID: row.MessageID, RefusedFor: row.RefusedFor, Evidence: row.Evidence,
		})
	}
	return list, len(rows) > PageSize, nil
}
