package deadletter

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

// Discard decides that nothing is to be done about the letters that are meant,
// for a reason, and tells of each. The events stay as they came, and order-recovery
// goes on with orders that stand still: it is the letter that is done with.
func (d *Desk) Discard(ctx context.Context, filter Filter, act Act, dryRun bool, tell func(Result)) error {
	switch {
	case strings.TrimSpace(act.By) == "":
		return fmt.Errorf("discard: %w: nobody is named who does it", ErrInvalid)
	case strings.TrimSpace(act.Reason) == "":
		return fmt.Errorf("discard: %w: it needs a reason", ErrInvalid)
	case filter.State == "":
		return fmt.Errorf("discard: %w: it isn't said in which state the letters are", ErrInvalid)
	case filter.State == StateDiscarded:
		return fmt.Errorf("discard: %w: they are discarded", ErrInvalid)
	}
	return d.pages(ctx, filter.named(), pageSize, func(page []kept) error {
		return d.discard(ctx, page, filter.State, act, dryRun, tell)
	})
}

func (d *Desk) discard(ctx context.Context, page []kept, state State, act Act, dryRun bool, tell func(Result)) error {
	var results []Result
	err := d.lock(ctx, page, state, func(queries *store.Queries, free []kept, taken map[int64]string) error {
		for _, one := range page {
			if why, is := taken[one.ID]; is {
				results = append(results, Result{Letter: one.Letter, Outcome: OutcomeLeft, Why: why, DryRun: dryRun})
			}
		}
		var ids []int64
		for _, one := range free {
			ids = append(ids, one.ID)
			results = append(results, Result{Letter: one.Letter, Outcome: OutcomeDiscarded, DryRun: dryRun})
		}
		if dryRun || len(ids) == 0 {
			return nil
		}
		if err := queries.Discard(ctx, store.DiscardParams{Actor: act.By, Reason: act.Reason, Ids: ids}); err != nil {
			return fmt.Errorf("discard dead letters: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, result := range results {
		tell(result)
	}
	return nil
}

// lock holds letters for the time of a transaction, and sorts them into those
// that are free, and those that are somebody else's with the reason.
func (d *Desk) lock(
	ctx context.Context, page []kept, state State, do func(queries *store.Queries, free []kept, taken map[int64]string) error,
) error {
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		queries := store.New(tx)
		ids := make([]int64, 0, len(page))
		for _, one := range page {
			ids = append(ids, one.ID)
		}
		rows, err := queries.LockLetters(ctx, ids)
		if err != nil {
			return fmt.Errorf("lock dead letters: %w", err)
		}
		locked, taken := map[int64]store.LockLettersRow{}, map[int64]string{}
		for _, row := range rows {
			locked[row.ID] = row
		}
		var free []kept
		for _, one := range page {
			switch row := locked[one.ID]; {
			case State(row.State) != state:
				taken[one.ID] = "it is " + row.State
			case row.Taken:
				taken[one.ID] = "somebody else is redriving it"
			default:
				free = append(free, one)
			}
		}
		return do(queries, free, taken)
	})
}
