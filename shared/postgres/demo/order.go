package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// Place stores an order of articles that there are, as the storefront leaves it
// behind: with its lines, its customer, and the event that tells of it. Unlike
// the storefront it takes the order's id and prices from the event, so that an
// order can be the one an example is about.
func Place(ctx context.Context, tx pgx.Tx, placed events.OrderPlaced, paymentMethod string) error {
	id, err := uuid.Parse(placed.OrderID)
	if err != nil {
		return fmt.Errorf("place order: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`insert into orders (id, number, status, total_amount, currency, payment_method, placed_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, now(), now())`,
		id, placed.Number, events.StatusPlaced, placed.Total.Amount, placed.Total.Currency, paymentMethod)
	batch.Queue(`insert into order_contacts (order_id, name, email, line1, city, postal_code, country)
		values ($1, 'Ada Example', 'ada@example.com', '1 Test Street', 'Testville', '12345', 'DE')`, id)
	for i, line := range placed.Lines {
		batch.Queue(`insert into order_lines (order_id, line, sku, name, quantity, price_amount)
			values ($1, $2, $3, (select name from products where sku = $3), $4, $5)`,
			id, i+1, line.SKU, line.Quantity, line.UnitPrice.Amount)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("place order: %w", err)
	}
	kind, _ := events.ByType(placed.Type())
	return orderlog.Append(ctx, tx, orderlog.Entry{
		OrderID: id, Name: kind.Name, Source: kind.SentBy[0], Data: placed, OccurredAt: time.Now().UTC(),
	})
}
