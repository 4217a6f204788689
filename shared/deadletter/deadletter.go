// Package deadletter is what people do about events that no function would
// take: look at them, redrive them, or discard them.
//
// To redrive a letter is to send the very event again, to the topic of its type:
// the same id, type, source, time, extensions and partition key, without what
// KafkaSource has added on the way. Whoever has handled the event takes it for
// the duplicate it is, so that a redrive changes nothing that was done, and only
// makes up for what wasn't.
//
// A redrive is written down before the event is sent, and its end after the sink
// has it. Whoever dies in between leaves the letter open: it is redriven again,
// which is harmless. A letter that has come again meanwhile has failed again and
// stays open too. Each letter is left to one redrive at a time.
//
// Who has done what, when and why is kept for good, as is the event as it came.
// Another payload may be sent in its place, which is kept beside it; but it must
// be what the order's history says, since functions believe nothing else.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

// State is what became of a letter.
type State string

// The states of a letter.
const (
	// StateOpen says that nobody has dealt with it, or that it has failed again since.
	StateOpen State = "open"
	// StateRedriven says that its event was sent again, and hasn't come back.
	StateRedriven State = "redriven"
	// StateDiscarded says that somebody has decided that nothing is to be done.
	StateDiscarded State = "discarded"
)

// The ways in which a request is refused as a whole.
var (
	// ErrNoLetter says that there is no letter of an id that was asked for.
	ErrNoLetter = errors.New("no such dead letter")
	// ErrNoOrder says that there is no order of the number that was asked for.
	ErrNoOrder = errors.New("no such order")
	// ErrInvalid says that the request can't be meant.
	ErrInvalid = errors.New("can't be done")
)

// Letter is an event that nobody would take, and what can be done about it.
type Letter struct {
	ID    int64 `json:"id"`
	State State `json:"state"`
	// Times is how often it has come.
	Times   int       `json:"times"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	EventID string    `json:"event_id"`
	Source  string    `json:"source"`
	Type    string    `json:"type"`
	// Function is who refused it, or the address that it was sent to, where that
	// doesn't tell. Code is the HTTP status of the last answer, Error its text;
	// both are empty where there was no answer.
	Function string `json:"function"`
	Code     string `json:"code"`
	Error    string `json:"error"`
	Prospect
}

// Prospect is what a redrive would come to.
type Prospect struct {
	// OrderID and Number are the order's; empty where that isn't known.
	OrderID string `json:"order_id,omitempty"`
	Number  string `json:"number,omitempty"`
	// Topic is where the event would be sent; empty where it can't be.
	Topic string `json:"topic,omitempty"`
	// Happened is what the event says that happened, as the order's history calls it;
	// empty where that isn't known.
	Happened string `json:"happened,omitempty"`
	// Handled are the functions that have handled the event, for which it would be
	// a duplicate. Waiting are those that read it and haven't.
	Handled []string `json:"handled"`
	Waiting []string `json:"waiting"`
	// Refusal says why it isn't sent: every function would refuse it again. Empty
	// where it would be sent.
	Refusal string `json:"refusal,omitempty"`
}

// Filter says which letters are meant: those of which all holds that it states.
type Filter struct {
	IDs   []int64
	State State
	// Function is who refused the letter.
	Function string
	Code     string
	// Error is a part of what was answered, in upper or lower case.
	Error string
	Type  string
	// Since and Until bound when the letter came last: from Since, before Until.
	Since, Until time.Time
	// Order is an order's id or number.
	Order string
}

// named is the filter without its state where letters are named: of those it is said
// why one is left alone.
func (f Filter) named() Filter {
	if len(f.IDs) > 0 {
		f.State = ""
	}
	return f
}

// Desk is where people deal with dead letters.
type Desk struct {
	pool      *pgxpool.Pool
	addresses Addresses
}

// NewDesk makes a desk.
func NewDesk(pool *pgxpool.Pool, addresses Addresses) *Desk {
	return &Desk{pool: pool, addresses: addresses}
}

// pageSize is how many letters are looked at in one go.
const pageSize = 64

// Each calls do with each letter that is meant, by id. What comes meanwhile isn't.
func (d *Desk) Each(ctx context.Context, filter Filter, do func(Letter) error) error {
	return d.pages(ctx, filter, pageSize, func(page []kept) error {
		for _, one := range page {
			if err := do(one.Letter); err != nil {
				return err
			}
		}
		return nil
	})
}

// Page looks up the first letters that are meant, size of them at most, by id and
// after one of an id. Its error is ErrNoLetter, ErrNoOrder, or the database's.
func (d *Desk) Page(ctx context.Context, filter Filter, after int64, size int) ([]Letter, error) {
	params, err := d.question(ctx, filter, size)
	if err != nil {
		return nil, err
	}
	params.AfterID = after
	page, err := d.page(ctx, store.New(d.pool), params)
	letters := make([]Letter, 0, len(page))
	for _, one := range page {
		letters = append(letters, one.Letter)
	}
	return letters, err
}

// pages looks up the letters that are meant, some at a time, with their prospects.
func (d *Desk) pages(ctx context.Context, filter Filter, size int, do func([]kept) error) error {
	params, err := d.question(ctx, filter, size)
	if err != nil {
		return err
	}
	queries := store.New(d.pool)
	for {
		page, err := d.page(ctx, queries, params)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		params.AfterID = page[len(page)-1].ID
	}
}

func (d *Desk) page(ctx context.Context, queries *store.Queries, params store.ListLettersParams) ([]kept, error) {
	rows, err := queries.ListLetters(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	page := make([]kept, 0, len(rows))
	for _, row := range rows {
		page = append(page, d.read(row))
	}
	return page, assess(ctx, queries, page)
}

// question makes a query of a filter.
func (d *Desk) question(ctx context.Context, filter Filter, size int) (store.ListLettersParams, error) {
	if filter.Until.IsZero() {
		filter.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	params := store.ListLettersParams{
		Ids: append([]int64{}, filter.IDs...), State: string(filter.State), Function: filter.Function,
		Address: strings.TrimRight(d.addresses[filter.Function], "/"), Code: filter.Code, Error: filter.Error, Type: filter.Type,
		Since: filter.Since, Until: filter.Until, Page: int32(min(size, math.MaxInt32)),
	}
	var err error
	if params.OrderID, err = d.orderID(ctx, filter.Order); err != nil {
		return params, err
	}
	if err := d.known(ctx, filter.IDs); err != nil {
		return params, err
	}
	if params.UpTo, err = store.New(d.pool).LastID(ctx); err != nil {
		return params, fmt.Errorf("list dead letters: %w", err)
	}
	return params, nil
}

func (d *Desk) orderID(ctx context.Context, order string) (string, error) {
	if id, err := uuid.Parse(order); err == nil {
		return id.String(), nil
	}
	if order == "" {
		return "", nil
	}
	id, err := store.New(d.pool).FindOrder(ctx, order)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", fmt.Errorf("find order %q: %w", order, ErrNoOrder)
	case err != nil:
		return "", fmt.Errorf("find order: %w", err)
	}
	return id.String(), nil
}

func (d *Desk) known(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := store.New(d.pool).ListKnown(ctx, ids)
	if err != nil {
		return fmt.Errorf("find dead letters: %w", err)
	}
	for _, id := range ids {
		if !slices.Contains(found, id) {
			return fmt.Errorf("find dead letter %d: %w", id, ErrNoLetter)
		}
	}
	return nil
}

// Addresses are the functions' URLs by their names, for a system where a URL
// doesn't tell which function it is of. On a cluster there need be none.
type Addresses map[string]string

// Function names who an address is of: a function's own name, as order-recovery
// signs its letters, or that of a Knative Service, the first label of its host. An
// address that doesn't tell is returned as it is.
func (a Addresses) Function(address string) string {
	for name, known := range a {
		if strings.TrimRight(known, "/") == strings.TrimRight(address, "/") {
			return name
		}
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return address
	}
	if label, rest, dotted := strings.Cut(parsed.Hostname(), "."); dotted && strings.Trim(rest, "0123456789.") != "" {
		return label
	}
	return address
}
