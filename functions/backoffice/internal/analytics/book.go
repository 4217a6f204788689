package analytics

import (
	"context"
	"fmt"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// Book is where the counts are looked up.
type Book struct {
	queries *store.Queries
}

// NewBook opens the book.
func NewBook(pool postgres.Pool) *Book {
	return &Book{queries: store.New(pool)}
}

// Summary looks up the figures of a period, whose ends are as ParsePeriod reads
// them. Now is the database's, as it is for everything that was counted.
func (b *Book) Summary(ctx context.Context, from, to string) (Summary, error) {
	now, err := b.queries.Now(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("read clock: %w", err)
	}
	period, err := ParsePeriod(from, to, now)
	if err != nil {
		return Summary{}, err
	}
	unit := "hour"
	if period.ByMinute {
		unit = "minute"
	}
	rows, err := b.queries.SumFigures(ctx, store.SumFiguresParams{Unit: unit, FromMinute: period.From, ToMinute: period.To})
	if err != nil {
		return Summary{}, fmt.Errorf("sum figures: %w", err)
	}
	counts := make([]Count, len(rows))
	for i, row := range rows {
		counts[i] = Count(row)
	}
	return Summarise(period, counts), nil
}
