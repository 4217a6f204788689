// Package stockroom is what people do about goods: receive them, and adjust the
// stock to what counting has found.
//
// Either is written down with who did it, when and why, and takes effect as it is
// written down: a trigger moves the stock, and the journal follows. A reference stands
// for one delivery or one count, however often somebody enters it; entered again with
// other contents it is refused.
//
// Orders go on meanwhile. Articles are locked in the order of their SKUs, as the
// functions do, so that nobody waits for who waits for them.
package stockroom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/stockroom/internal/store"
)

// The ways in which something is refused.
var (
	// ErrInvalid says that the request can't be meant.
	ErrInvalid = errors.New("can't be done")
	// ErrNoArticle says that the shop has no such article.
	ErrNoArticle = errors.New("no such article")
	// ErrReference says that the reference stands for something else.
	ErrReference = errors.New("the reference is on record with other contents")
	// ErrReserved says that units are to be gone that orders hold.
	ErrReserved = errors.New("not so many are free")
)

// Line is so many units of an article. Of an adjustment they may be less than none.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Act is who does something, and why.
type Act struct {
	By string
	// Reference is the delivery's or the count's own, "PO-17". A receipt needs one; an
	// adjustment without one is done as often as it is asked for.
	Reference string
	// Reason is needed for an adjustment. No personal data: it is kept for good.
	Reason string
}

// Done is what is on record now.
type Done struct {
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	By string    `json:"by"`
	// Before says that it was on record already, and nothing was done now.
	Before bool `json:"before"`
}

// Room is the stockroom of a shop.
type Room struct {
	pool *pgxpool.Pool
}

// New returns the stockroom whose books are in a database.
func New(pool *pgxpool.Pool) *Room { return &Room{pool: pool} }

const (
	actionReceive = "receive"
	actionAdjust  = "adjust"
	// maxQuantity keeps sums of a lifetime within what an integer holds.
	maxQuantity = math.MaxInt32
)

// Receive takes in goods, all lines or none. The first of an article open its stock.
func (r *Room) Receive(ctx context.Context, lines []Line, act Act) (Done, error) {
	if strings.TrimSpace(act.Reference) == "" {
		return Done{}, fmt.Errorf("receive: %w: it needs a reference, by which it is known again", ErrInvalid)
	}
	for _, line := range lines {
		if line.Quantity <= 0 {
			return Done{}, fmt.Errorf("receive: %w: %d %s", ErrInvalid, line.Quantity, line.SKU)
		}
	}
	return r.act(ctx, actionReceive, lines, act)
}

// Adjust adds what counting has found, and takes away what it has missed, all lines or
// none. What orders hold can't be missed.
func (r *Room) Adjust(ctx context.Context, lines []Line, act Act) (Done, error) {
	if strings.TrimSpace(act.Reason) == "" {
		return Done{}, fmt.Errorf("adjust: %w: it needs a reason", ErrInvalid)
	}
	return r.act(ctx, actionAdjust, lines, act)
}

func (r *Room) act(ctx context.Context, action string, lines []Line, act Act) (Done, error) {
	lines = slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return cmp.Compare(a.SKU, b.SKU) })
	if err := check(lines, act); err != nil {
		return Done{}, fmt.Errorf("%s: %w", action, err)
	}
	var done Done
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var err error
		done, err = write(ctx, store.New(tx), action, lines, act)
		return err
	})
	if err != nil {
		return Done{}, fmt.Errorf("%s: %w", action, err)
	}
	return done, nil
}

// check wants each article once.
func check(lines []Line, act Act) error {
	if strings.TrimSpace(act.By) == "" {
		return fmt.Errorf("%w: nobody is named who does it", ErrInvalid)
	}
	if len(lines) == 0 {
		return fmt.Errorf("%w: no article is named", ErrInvalid)
	}
	for i, line := range lines {
		switch {
		case line.Quantity == 0 || line.Quantity > maxQuantity || line.Quantity < -maxQuantity:
			return fmt.Errorf("%w: %d %s", ErrInvalid, line.Quantity, line.SKU)
		case i > 0 && line.SKU == lines[i-1].SKU:
			return fmt.Errorf("%w: %s is named twice", ErrInvalid, line.SKU)
		}
	}
	return nil
}

func write(ctx context.Context, queries *store.Queries, action string, lines []Line, act Act) (Done, error) {
	written, err := queries.InsertAct(ctx, store.InsertActParams{
		Action: action, Reference: postgres.OrNull(act.Reference), Reason: act.Reason, Actor: act.By,
	})
	if err != nil {
		return Done{}, fmt.Errorf("put on record: %w", err)
	}
	if len(written) == 0 {
		return again(ctx, queries, action, lines, act.Reference)
	}
	if err := lockFor(ctx, queries, lines); err != nil {
		return Done{}, err
	}
	for _, line := range lines {
		if err := queries.InsertActLine(ctx, store.InsertActLineParams{ActID: written[0].ID, Sku: line.SKU, Quantity: line.Quantity}); err != nil {
			return Done{}, fmt.Errorf("put %s on record: %w", line.SKU, err)
		}
	}
	return Done{ID: written[0].ID, At: written[0].At.UTC(), By: act.By}, nil
}

// again tells of what is on record already, if that is the same.
func again(ctx context.Context, queries *store.Queries, action string, lines []Line, reference string) (Done, error) {
	found, err := queries.FindAct(ctx, reference)
	if err != nil {
		return Done{}, fmt.Errorf("find %s: %w", reference, err)
	}
	known, err := queries.ListActLines(ctx, found.ID)
	if err != nil {
		return Done{}, fmt.Errorf("read %s: %w", reference, err)
	}
	same := slices.EqualFunc(known, lines, func(row store.ListActLinesRow, line Line) bool {
		return row.Sku == line.SKU && row.Quantity == line.Quantity
	})
	if found.Action != action || !same {
		return Done{}, fmt.Errorf("%w: %s of %s by %s", ErrReference, found.Action, found.At.UTC().Format(time.DateTime), found.Actor)
	}
	return Done{ID: found.ID, At: found.At.UTC(), By: found.Actor, Before: true}, nil
}

// lockFor holds the articles, and wants as many of each to be free as are to go. The
// table's constraint stands behind it.
func lockFor(ctx context.Context, queries *store.Queries, lines []Line) error {
	skus := make([]string, 0, len(lines))
	for _, line := range lines {
		skus = append(skus, line.SKU)
	}
	if err := queries.OpenStock(ctx, skus); err != nil {
		return fmt.Errorf("open stock: %w", err)
	}
	rows, err := queries.LockStock(ctx, skus)
	if err != nil {
		return fmt.Errorf("lock stock: %w", err)
	}
	stock := map[string]store.LockStockRow{}
	for _, row := range rows {
		stock[row.Sku] = row
	}
	for _, line := range lines {
		row, stocked := stock[line.SKU]
		if !stocked {
			return fmt.Errorf("%w: %s", ErrNoArticle, line.SKU)
		}
		if free := row.OnHand - row.Reserved; free+line.Quantity < 0 {
			return fmt.Errorf("%w: of %s there are %d, of which orders hold %d", ErrReserved, line.SKU, row.OnHand, row.Reserved)
		}
	}
	return nil
}

// Article is an article's stock: opening + received + adjusted + returned = on hand + shipped.
type Article struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Opening   int64  `json:"opening"`
	Received  int64  `json:"received"`
	Adjusted  int64  `json:"adjusted"`
	OnHand    int64  `json:"on_hand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
	Shipped   int64  `json:"shipped"`
	// Returned is what came back of it and is on hand again.
	Returned int64 `json:"returned"`
}

// Transfer is one entry of an article's journal.
type Transfer struct {
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Quantity int64     `json:"quantity"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	// OrderID and Cause are those of an order's units; By is who moved others.
	OrderID   string `json:"order_id,omitempty"`
	Cause     string `json:"cause,omitempty"`
	By        string `json:"by,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// Account is all about one article.
type Account struct {
	Article

	// Last are its last transfers, latest first.
	Last []Transfer `json:"last"`
}

// List lists the stock of all articles that ever had any, by SKU.
func (r *Room) List(ctx context.Context) ([]Article, error) {
	return list(ctx, store.New(r.pool), "")
}

func list(ctx context.Context, queries *store.Queries, sku string) ([]Article, error) {
	rows, err := queries.ListStock(ctx, sku)
	if err != nil {
		return nil, fmt.Errorf("list stock: %w", err)
	}
	all := make([]Article, 0, len(rows))
	for _, row := range rows {
		all = append(all, Article{
			SKU: row.Sku, Name: row.Name, Opening: row.Opening, Received: row.Received, Adjusted: row.Adjusted,
			OnHand: row.OnHand, Reserved: row.Reserved, Available: row.OnHand - row.Reserved, Shipped: row.Shipped, Returned: row.Returned,
		})
	}
	return all, nil
}

// Show tells of one article, with so many of its last transfers.
func (r *Room) Show(ctx context.Context, sku string, last int) (Account, error) {
	var account Account
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		queries := store.New(tx)
		found, err := list(ctx, queries, sku)
		if err != nil {
			return err
		}
		if len(found) == 0 || sku == "" {
			return fmt.Errorf("%w in stock: %q", ErrNoArticle, sku)
		}
		account = Account{Article: found[0], Last: []Transfer{}}
		rows, err := queries.ListTransfers(ctx, store.ListTransfersParams{Sku: sku, Page: int32(min(last, math.MaxInt32))})
		if err != nil {
			return fmt.Errorf("list transfers: %w", err)
		}
		for _, row := range rows {
			account.Last = append(account.Last, transfer(row))
		}
		return nil
	})
	return account, err
}

func transfer(row store.ListTransfersRow) Transfer {
	made := Transfer{
		At: row.At.UTC(), Kind: row.Kind, Quantity: row.Quantity, From: row.Debit, To: row.Credit,
		Cause: row.Cause, By: row.Actor, Reason: row.Reason, Reference: row.Reference,
	}
	if row.OrderID.Valid {
		made.OrderID = row.OrderID.String()
	}
	return made
}
