package book

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
)

// Question says which orders are meant: those of which all holds that it states.
type Question struct {
	// Number is an order's number, or its id.
	Number string
	// Email is a customer's address, in upper or lower case.
	Email string
	// Status and Reason are where they stand, and why they were cancelled.
	Status, Reason string
	// SKU is an article among their lines.
	SKU string
	// Since and Until bound when they were placed: from Since, before Until.
	Since, Until time.Time
	// Before is the order after which the page before ended.
	Before uuid.UUID
}

// narrowed tells whether candidates may not fit.
func (q Question) narrowed() bool {
	return q.Email+q.Status+q.Reason+q.SKU != "" || !q.Since.IsZero() || !q.Until.IsZero()
}

// Order is a line of the list.
type Order struct {
	ID        uuid.UUID
	Number    string
	Status    string
	Reason    string
	Total     events.Money
	PlacedAt  time.Time
	UpdatedAt time.Time
	// Stuck says that it has stood still for ten minutes on its way.
	Stuck bool
}

// Orders is a page of them, the last placed first.
type Orders struct {
	List []Order
	// Next is where the next page begins; nil where this is the last one.
	Next *uuid.UUID
	// Searched says that only so many orders were looked through, and others follow.
	Searched int
}

// budget is how many orders are looked through for one page: what is asked for may
// fit one in a million, and the page is to be there in no time all the same. Whoever
// wants to, looks further.
const budget = 2000

// skew is by how much the clock that an order's id was made by may be wrong.
const skew = time.Hour

// Orders looks up a page.
func (b *Book) Orders(ctx context.Context, q Question) (Orders, error) {
	if q.Before == uuid.Nil {
		q.Before = uuid.Max
	}
	if q.Until.IsZero() {
		q.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	} else if last := lowest(q.Until.Add(skew)); slices.Compare(last[:], q.Before[:]) < 0 {
		q.Before = last
	}
	page := PageSize + 1
	if q.narrowed() {
		page = budget
	}
	candidates, err := b.candidates(ctx, q, int32(page))
	if err != nil {
		return Orders{}, fmt.Errorf("find orders: %w", err)
	}
	rows, err := b.queries.ListOrders(ctx, store.ListOrdersParams{
		Ids: candidates, Status: q.Status, Reason: q.Reason, Sku: q.SKU, Email: q.Email, Since: q.Since, Until: q.Until, Page: PageSize + 1,
	})
	if err != nil {
		return Orders{}, fmt.Errorf("list orders: %w", err)
	}
	return cut(rows, candidates, page), nil
}

// cut makes a page of what was found, and says where the next one begins.
func cut(rows []store.ListOrdersRow, candidates []uuid.UUID, asked int) Orders {
	var found Orders
	for _, row := range rows[:min(len(rows), PageSize)] {
		found.List = append(found.List, Order{
			ID: row.ID, Number: row.Number, Status: row.Status, Reason: row.Reason, PlacedAt: row.PlacedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
			Total: events.Money{Amount: row.TotalAmount, Currency: row.Currency}, Stuck: row.Stuck,
		})
	}
	switch {
	case len(rows) > PageSize:
		found.Next = &found.List[PageSize-1].ID
	case len(candidates) == asked:
		found.Next, found.Searched = &candidates[asked-1], asked
	}
	return found
}

// candidates come by the index that leaves the fewest.
func (b *Book) candidates(ctx context.Context, q Question, page int32) ([]uuid.UUID, error) {
	from := uuid.Nil
	if !q.Since.IsZero() {
		from = lowest(q.Since.Add(-skew))
	}
	switch {
	case q.Number != "":
		return b.numbered(ctx, q)
	case q.Email != "":
		return b.queries.OrdersOfCustomer(ctx, store.OrdersOfCustomerParams{Email: q.Email, Before: q.Before, FromID: from, Page: page})
	case q.Reason != "":
		return b.cancelled(ctx, q, from, page, q.Reason)
	case q.Status == string(events.StatusCancelled):
		return b.cancelled(ctx, q, from, page, reasons()...)
	case q.Status != "" && q.Status != string(events.StatusShipped):
		return b.queries.OrdersOnTheirWay(ctx, store.OrdersOnTheirWayParams{Status: q.Status, Before: q.Before, FromID: from, Page: page})
	case q.SKU != "":
		return b.queries.OrdersOfArticle(ctx, store.OrdersOfArticleParams{Sku: q.SKU, Before: q.Before, FromID: from, Page: page})
	case q.Status != "":
		return b.queries.OrdersShipped(ctx, store.OrdersShippedParams{Before: q.Before, FromID: from, Page: page})
	default:
		return b.queries.RecentOrders(ctx, store.RecentOrdersParams{Before: q.Before, FromID: from, Page: page})
	}
}

func (b *Book) numbered(ctx context.Context, q Question) ([]uuid.UUID, error) {
	found := []uuid.UUID{}
	if id, err := uuid.Parse(q.Number); err == nil {
		found = append(found, id)
	} else if found, err = b.queries.FindByNumber(ctx, strings.ToUpper(q.Number)); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(id uuid.UUID) bool { return slices.Compare(id[:], q.Before[:]) >= 0 }), nil
}

func (b *Book) cancelled(ctx context.Context, q Question, from uuid.UUID, page int32, reasons ...string) ([]uuid.UUID, error) {
	return b.queries.OrdersCancelled(ctx, store.OrdersCancelledParams{Reasons: reasons, Before: q.Before, FromID: from, Page: page})
}

func reasons() []string {
	var all []string
	for _, reason := range events.Reasons() {
		all = append(all, string(reason))
	}
	return all
}

// lowest is the least id that was made at a time: a UUIDv7 begins with its milliseconds.
func lowest(at time.Time) uuid.UUID {
	var id uuid.UUID
	milliseconds := max(0, at.UnixMilli())
	for i := range 6 {
		id[i] = byte(milliseconds >> (8 * (5 - i)))
	}
	return id
}

// Contact is a customer's name and address.
type Contact struct{ Name, Email, Line1, Line2, City, PostalCode, Country string }

// Contact looks up whom an order is for; nil where that was erased.
func (b *Book) Contact(ctx context.Context, order uuid.UUID) (*Contact, error) {
	rows, err := b.queries.FindContact(ctx, order)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	contact := Contact(rows[0])
	return &contact, nil
}
