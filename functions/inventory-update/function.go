// Package function reserves the articles of a paid order, all lines or none.
//
//	payment-verified -> inventory-updated | order-cancelled (out_of_stock)
package function

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/inventory-update/internal/store"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// New is what func's server runs.
func New() *stage.Function {
	return stage.New("inventory-update", stage.Rules(rules))
}

func rules(context.Context, stage.Env) ([]stage.Rule, error) {
	return []stage.Rule{stage.Step[events.PaymentVerified, stage.None]{Apply: reserve}}, nil
}

// reserve holds every unit that the order needs, or cancels the order.
//
// The rows are locked first and judged then. The alternative, to update what
// can be updated and roll back to a savepoint when that wasn't everything,
// lets go of the locks with the rollback: by the time one asks what was short,
// it may no longer be.
func reserve(ctx context.Context, tx pgx.Tx, in stage.In[events.PaymentVerified], _ stage.None) (events.Data, error) {
	queries := store.New(tx)
	rows, err := queries.LockStock(ctx, in.OrderID)
	if err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	onShelf := shelf(rows)
	if err := agree(in.Data.Lines, onShelf); err != nil {
		return nil, stage.Reject(err)
	}
	if short := shortages(onShelf); len(short) > 0 {
		return outOfStock(in.Data, short), nil
	}
	reserved, err := queries.Reserve(ctx, in.OrderID)
	if err != nil {
		return nil, fmt.Errorf("reserve stock: %w", err)
	}
	if int(reserved) != len(onShelf) {
		return nil, fmt.Errorf("reserve stock: %d of %d lines, though all were there", reserved, len(onShelf))
	}
	return updated(in.Data), nil
}

func shelf(rows []store.LockStockRow) []article {
	articles := make([]article, 0, len(rows))
	for _, row := range rows {
		articles = append(articles, article{sku: row.Sku, wanted: int(row.Quantity), available: int(row.Available)})
	}
	return articles
}
