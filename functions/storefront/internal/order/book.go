package order

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
)

// ErrNotFound says that there is no such order, or that the token isn't its
// own: nobody can tell which.
var ErrNotFound = errors.New("no such order")

// tokens checks the token of an order.
type tokens interface {
	Verify(orderID uuid.UUID, token string) bool
}

// Book looks orders up.
type Book struct {
	queries *store.Queries
	tokens  tokens
}

// NewBook makes a book that reads from db.
func NewBook(db store.DBTX, tokens tokens) *Book {
	return &Book{queries: store.New(db), tokens: tokens}
}

// Authorise reads an order's id and checks that token is its own. It needs no
// database, so it tells nothing about which orders there are.
func (b *Book) Authorise(id, token string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id || !b.tokens.Verify(parsed, token) {
		return uuid.UUID{}, ErrNotFound
	}
	return parsed, nil
}

// Find shows an order. What it shows never goes back behind what it has shown
// before: the status is the last step's, not one read at another moment.
func (b *Book) Find(ctx context.Context, id uuid.UUID) (View, error) {
	// First of all: the later statements then know at least as much.
	timeline, err := b.timeline(ctx, id)
	if err != nil {
		return View{}, err
	}
	row, err := b.queries.FindOrder(ctx, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return View{}, ErrNotFound
	case err != nil:
		return View{}, fmt.Errorf("find order: %w", err)
	}
	lines, err := b.lines(ctx, id, row.Currency)
	if err != nil {
		return View{}, err
	}
	view := newView(row)
	view.Lines, view.Timeline = lines, timeline
	if len(timeline) == 0 {
		return view, nil
	}
	return view.AsOf(len(timeline) - 1), nil
}

func newView(row store.FindOrderRow) View {
	view := View{
		ID: row.ID, Number: row.Number, Status: events.Status(row.Status), CancelReason: events.Reason(row.CancelReason),
		Total:    events.Money{Amount: row.TotalAmount, Currency: row.Currency},
		PlacedAt: row.PlacedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
		Timeline: []Step{},
	}
	if row.PaymentState != "" {
		view.Payment = &Payment{State: row.PaymentState}
	}
	if row.TrackingNumber != "" {
		view.Shipment = &Shipment{Carrier: row.Carrier, TrackingNumber: row.TrackingNumber}
	}
	return view
}

func (b *Book) timeline(ctx context.Context, id uuid.UUID) ([]Step, error) {
	rows, err := b.queries.ListTimeline(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list timeline: %w", err)
	}
	steps := make([]Step, 0, len(rows))
	for _, row := range rows {
		// An event that moves no order isn't the customer's business.
		if kind, known := events.ByName(row.Name); known {
			steps = append(steps, Step{
				Position: row.Position, Event: row.Name, Status: kind.Status, At: row.OccurredAt.UTC(), Refund: row.Refund,
			})
		}
	}
	return steps, nil
}

func (b *Book) lines(ctx context.Context, id uuid.UUID, currency string) ([]Line, error) {
	rows, err := b.queries.ListLines(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	lines := make([]Line, 0, len(rows))
	for _, row := range rows {
		price := events.Money{Amount: row.PriceAmount, Currency: currency}
		total, err := price.Times(int(row.Quantity))
		if err != nil {
			return nil, fmt.Errorf("add up line %s: %w", row.Sku, err)
		}
		lines = append(lines, Line{Name: row.Name, SKU: row.Sku, Quantity: int(row.Quantity), Price: price, Total: total})
	}
	return lines, nil
}

// RequestLink has the link to an order mailed to its customer, if there is one with
// this number and address. The two are only noted: whoever sends the mail looks
// whether they belong together, so nothing here takes longer for one that there is.
func (b *Book) RequestLink(ctx context.Context, number, email, language string) error {
	sum := sha256.Sum256([]byte(strings.Map(asciiLower, email)))
	err := b.queries.RequestLink(ctx, store.RequestLinkParams{Number: number, EmailSha256: sum[:], Language: language})
	if err != nil {
		return fmt.Errorf("request link to order: %w", err)
	}
	return nil
}

// asciiLower is what lower does in Postgres with the collation "C", whatever the
// language of the database.
func asciiLower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// Recipient is to whom and where an order goes.
type Recipient struct {
	Name, Line1, Line2, City, PostalCode, Country string
}

// Recipient finds where an order goes; false where that has been erased.
func (b *Book) Recipient(ctx context.Context, id uuid.UUID) (Recipient, bool, error) {
	row, err := b.queries.FindContact(ctx, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Recipient{}, false, nil
	case err != nil:
		return Recipient{}, false, fmt.Errorf("find recipient: %w", err)
	}
	return Recipient(row), row.Name != "", nil
}
