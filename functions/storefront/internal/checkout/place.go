package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/telemetry"
)

// source is the name under which the storefront writes history.
const source = "storefront"

// publishTimeout bounds how long a customer waits for Kafka. The order is
// committed by then; order-recovery sends what could not be sent.
const publishTimeout = time.Second

// publisher sends events to their sinks, and tells those who watch an order.
type publisher interface {
	Publish(ctx context.Context, e orderlog.Entry) error
	Changed(order uuid.UUID)
}

// Desk takes orders and cancellations.
type Desk struct {
	pool      postgres.Pool
	publisher publisher
	ids       func() (uuid.UUID, error)
}

// NewDesk makes a desk that writes to pool, publishes by publisher, and draws the
// ids of orders from ids.
func NewDesk(pool postgres.Pool, publisher publisher, ids func() (uuid.UUID, error)) *Desk {
	return &Desk{pool: pool, publisher: publisher, ids: ids}
}

// ErrUnsure says that the database took an order and never said whether it keeps
// it. The same request with the same key finds out.
var ErrUnsure = errors.New("whether the order is placed is not known")

// ErrPriceChanged says that an order comes to something else than expected.
var ErrPriceChanged = errors.New("the order's total is not the expected one")

// settleTimeout bounds how long the second attempt at a commit may take.
const settleTimeout = 3 * time.Second

// errLostRace says that a concurrent request with the same key came first.
var errLostRace = errors.New("another request with the same key came first")

// Place commits an order and then publishes it. With a key that placed an order
// before, it returns that order. The error is an *InvalidError for what can't be
// ordered, ErrKeyReused, ErrPriceChanged, and ErrUnsure.
func (d *Desk) Place(ctx context.Context, r Request, key Key) (Placed, error) {
	requestHash, err := hashOf(r)
	if err != nil {
		return Placed{}, err
	}
	if earlier, found, err := d.replay(ctx, key, requestHash); found || err != nil {
		return earlier, err
	}
	if problems := Validate(r); len(problems) > 0 {
		return Placed{}, &InvalidError{Problems: problems}
	}
	entry, err := d.commit(ctx, r, key, requestHash)
	if errors.Is(err, errLostRace) {
		earlier, _, err := d.replay(ctx, key, requestHash)
		return earlier, err
	}
	if err != nil {
		return Placed{}, err
	}
	return d.placed(ctx, entry), nil
}

func (d *Desk) placed(ctx context.Context, entry orderlog.Entry) Placed {
	d.publish(ctx, entry)
	placed := Placed{ID: entry.OrderID}
	if data, ok := entry.Data.(events.OrderPlaced); ok {
		placed.Number, placed.Total = data.Number, data.Total
	}
	return placed
}

// commit stores the order, its event and its key together or not at all.
func (d *Desk) commit(ctx context.Context, r Request, key Key, requestHash []byte) (orderlog.Entry, error) {
	lines, names, total, err := d.price(ctx, r.Lines)
	if err != nil {
		return orderlog.Entry{}, err
	}
	if r.ExpectedTotal != nil && *r.ExpectedTotal != total {
		return orderlog.Entry{}, ErrPriceChanged
	}
	for {
		entry, err := d.newEntry(ctx, lines, total)
		if err != nil {
			return orderlog.Entry{}, err
		}
		err = d.store(ctx, func(tx pgx.Tx) error {
			return insert(ctx, tx, &entry, r, names, key, requestHash)
		})
		// A number that is taken is drawn again: one in 2^50 for each order there is.
		if constraint, violated := postgres.IsUnique(err); violated && constraint == "orders_number_key" {
			continue
		}
		return entry, err
	}
}

// store commits an order. A commit that gets no answer may have taken effect, so
// it is made once more, of the same order: if that is there already, it did.
func (d *Desk) store(ctx context.Context, insert func(pgx.Tx) error) error {
	committing, err := d.try(ctx, insert)
	if err == nil || !committing {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_, err = d.try(ctx, insert)
	if constraint, violated := postgres.IsUnique(err); violated && constraint == "orders_pkey" {
		return nil
	}
	if err != nil && !errors.Is(err, errLostRace) {
		return fmt.Errorf("%w: %v", ErrUnsure, err) //nolint:errorlint // what went wrong now is not what the order's fate hangs on
	}
	return err
}

// try runs one transaction, and tells whether it came as far as its commit.
func (d *Desk) try(ctx context.Context, insert func(pgx.Tx) error) (committing bool, err error) {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin order: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // what isn't committed is rolled back in any case
	if err := insert(tx); err != nil {
		return false, err
	}
	if err := tx.Commit(ctx); err != nil {
		return true, fmt.Errorf("commit order: %w", err)
	}
	return true, nil
}

// price reads the catalogue outside the transaction: an order holds the prices
// that it was placed at, so nothing needs to stay locked.
func (d *Desk) price(ctx context.Context, lines []Line) ([]events.Line, map[string]Article, events.Money, error) {
	skus := make([]string, len(lines))
	for i, line := range lines {
		skus[i] = line.SKU
	}
	rows, err := store.New(d.pool).FindProducts(ctx, skus)
	if err != nil {
		return nil, nil, events.Money{}, fmt.Errorf("find products: %w", err)
	}
	catalogue := make(map[string]Article, len(rows))
	for _, row := range rows {
		price := events.Money{Amount: row.PriceAmount, Currency: row.Currency}
		catalogue[row.Sku] = Article{SKU: row.Sku, Name: row.Name, Price: price}
	}
	priced, total, problems := Price(lines, catalogue)
	if len(problems) > 0 {
		return nil, nil, events.Money{}, &InvalidError{Problems: problems}
	}
	return priced, catalogue, total, nil
}

func (d *Desk) newEntry(ctx context.Context, lines []events.Line, total events.Money) (orderlog.Entry, error) {
	id, err := d.ids()
	if err != nil {
		return orderlog.Entry{}, fmt.Errorf("draw order id: %w", err)
	}
	data := events.OrderPlaced{OrderID: id.String(), Number: newNumber(), Lines: lines, Total: total}
	return orderlog.Entry{
		OrderID: id, Name: "order-placed", Source: source, TraceParent: telemetry.TraceParent(ctx), Data: data,
	}, nil
}

func insert(
	ctx context.Context, tx pgx.Tx, entry *orderlog.Entry, r Request, names map[string]Article, key Key, requestHash []byte,
) error {
	data, _ := entry.Data.(events.OrderPlaced)
	queries := store.New(tx)
	placedAt, err := queries.InsertOrder(ctx, row(entry.OrderID, data, r, names))
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	entry.OccurredAt = placedAt
	if err := orderlog.Append(ctx, tx, *entry); err != nil {
		return err
	}
	if !key.given() {
		return nil
	}
	claimed, err := queries.ClaimKey(ctx, store.ClaimKeyParams{
		KeyHash: key.hash, RequestHash: requestHash, OrderID: entry.OrderID,
	})
	if err != nil {
		return fmt.Errorf("claim idempotency key: %w", err)
	}
	if claimed == 0 {
		return errLostRace
	}
	return nil
}

func row(id uuid.UUID, data events.OrderPlaced, r Request, names map[string]Article) store.InsertOrderParams {
	params := store.InsertOrderParams{
		ID: id, Number: data.Number, TotalAmount: data.Total.Amount, Currency: data.Total.Currency,
		PaymentMethod: r.PaymentMethod, CustomerName: r.Customer.Name, Email: r.Customer.Email,
		Line1: r.ShippingAddress.Line1, Line2: r.ShippingAddress.Line2, City: r.ShippingAddress.City,
		PostalCode: r.ShippingAddress.PostalCode, Country: r.ShippingAddress.Country,
		Language: r.Language,
	}
	for i, line := range data.Lines {
		params.Lines = append(params.Lines, int32(i+1)) //nolint:gosec // at most MaxLines
		params.Skus = append(params.Skus, line.SKU)
		params.Names = append(params.Names, names[line.SKU].Name)
		params.Quantities = append(params.Quantities, int32(line.Quantity)) //nolint:gosec // at most MaxQuantity
		params.Prices = append(params.Prices, line.UnitPrice.Amount)
	}
	return params
}

// publish goes on when the customer has left: the order is committed. What isn't
// sent now is sent again until it is.
func (d *Desk) publish(ctx context.Context, entry orderlog.Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := d.publisher.Publish(ctx, entry); err != nil {
		d.publisher.Changed(entry.OrderID)
	}
}
