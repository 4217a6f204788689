// Package function is order-analytics: it counts what happens to orders, by
// the minute in which it happened.
//
//	order-placed | payment-verified | inventory-updated | order-shipped | order-cancelled | order-returned -> (nothing)
package function

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-analytics/internal/store"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// New returns the function.
func New() *stage.Function {
	return stage.New("order-analytics", stage.Rules(rules))
}

func rules(context.Context, stage.Env) ([]stage.Rule, error) {
	return []stage.Rule{
		counting[events.OrderPlaced](),
		// Taken note of, so that it shows who has seen what; there is nothing to count.
		counting[events.PaymentVerified](),
		counting[events.InventoryUpdated](),
		counting[events.OrderShipped](),
		counting[events.OrderCancelled](),
		counting[events.OrderReturned](),
	}, nil
}

func counting[T events.Data]() stage.Rule {
	return stage.Observer[T, stage.None]{Apply: apply[T]}
}

// apply adds an event's counts to the minute in which it happened. Together
// with the record that the event was handled this makes every figure exact,
// however often and however late the event comes.
func apply[T events.Data](ctx context.Context, tx pgx.Tx, in stage.In[T], _ stage.None) error {
	counts := Counts(in.Data)
	if len(counts) == 0 {
		return nil
	}
	row := store.AddCountsParams{Minute: in.OccurredAt.Truncate(time.Minute), Shard: shardOf(in.OrderID)}
	for _, c := range counts {
		row.Metrics = append(row.Metrics, string(c.Metric))
		row.Dimensions = append(row.Dimensions, c.Dimension)
		row.Amounts = append(row.Amounts, c.Value)
	}
	if err := store.New(tx).AddCounts(ctx, row); err != nil {
		return fmt.Errorf("add counts: %w", err)
	}
	return nil
}

// shards is how many rows share a count, so that that many deliveries can add
// to the same minute at once. Whoever reads adds the rows up, so another number
// may be chosen at any time.
const shards = 16

// shardOf takes the last byte of the id: the first ones of a UUIDv7 are the
// time, the same for all orders of a moment.
func shardOf(order uuid.UUID) int16 {
	return int16(order[len(order)-1] % shards)
}
