package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// books are those of our rows that have a counterpart outside, as they stood at
// one moment.
type books struct {
	orders map[string]order // by id
	mails  map[string]mail  // by order and change
	labels []label
}

// order is an order and its payment, as our database has them.
type order struct {
	status  events.Status
	total   events.Money
	settled bool
	// payment is StateNone where there is no row.
	payment payment.State
	paid    events.Money
}

// mail is what our database has of a mail to a customer.
type mail struct {
	state     string
	attempts  int
	messageID string
}

// label is what our database has of a parcel's label.
type label struct {
	key    string
	sha256 []byte
}

// view is our database before we looked outside, and after. Orders may go on
// all the while, so each is good for one half of a comparison: what the database
// said before must be there outside, and what is there outside the database must
// know of afterwards.
type view struct {
	before, after books
	// moving is an audit of a system at work.
	moving bool
}

// stands tells whether an order is to be held to the letter: it stood still
// while we looked. In a system at work that takes an order that is settled, as
// one on its way may have its money moved before its row says so.
func (v view) stands(id string) bool {
	before, known := v.before.orders[id]
	after := v.after.orders[id]
	after.settled = before.settled // which changes nothing else
	return known && before == after && (before.settled || !v.moving)
}

// onTheirWay counts the orders that aren't held to the letter.
func (v view) onTheirWay() int {
	moving := 0
	for id := range v.after.orders {
		if !v.stands(id) {
			moving++
		}
	}
	return moving
}

func readBooks(ctx context.Context, tx pgx.Tx) (books, error) {
	b := books{orders: map[string]order{}, mails: map[string]mail{}}
	var id, change string
	var o order
	err := each(ctx, tx, `
		select o.id::text, o.status, o.total_amount, o.currency, o.settled_at is not null,
		       coalesce(p.state, 'none'), coalesce(p.amount, 0), coalesce(p.currency, '')
		from orders o left join payments p on p.order_id = o.id`,
		[]any{&id, &o.status, &o.total.Amount, &o.total.Currency, &o.settled, &o.payment, &o.paid.Amount, &o.paid.Currency},
		func() { b.orders[id] = o })
	if err != nil {
		return books{}, fmt.Errorf("read orders: %w", err)
	}
	var m mail
	err = each(ctx, tx, `select order_id::text, change, state, attempts, coalesce(message_id, '') from notifications`,
		[]any{&id, &change, &m.state, &m.attempts, &m.messageID},
		func() { b.mails[mailKey(id, change)] = m })
	if err != nil {
		return books{}, fmt.Errorf("read notifications: %w", err)
	}
	var l label
	err = each(ctx, tx, `select label_key, label_sha256 from shipments`,
		[]any{&l.key, &l.sha256},
		func() { b.labels = append(b.labels, l) })
	if err != nil {
		return books{}, fmt.Errorf("read shipments: %w", err)
	}
	return b, nil
}

// each scans row by row, of which there may be very many.
func each(ctx context.Context, tx pgx.Tx, sql string, into []any, keep func()) error {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		keep()
		return nil
	})
	return err
}
