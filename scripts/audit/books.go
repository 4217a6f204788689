package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// books are those of our rows that have a counterpart outside, as they stood at
// one moment.
type books struct {
	orders map[string]order // by id
	mails  map[string]mail  // by order and change
	fates  map[string]fates // by order and change
	labels map[string]label // by key
	// journal has each order's transfers of money, in the order of their times.
	journal map[string][]transfer
}

// order is an order and its payment, as our database has them.
type order struct {
	status  events.Status
	reason  events.Reason // why it was cancelled
	total   events.Money
	settled bool
	// reserved tells whether its units were ever reserved, so that somebody was
	// to ship it, and prepared whether shipment-preparation is done with that.
	reserved, prepared bool
	// payment is StateNone where there is no row.
	payment   payment.State
	paid      events.Money
	paymentID string
	// refunded is how much of it was given back after capture, in minor units.
	refunded int64
}

// mail is what our database has of a mail to a customer.
type mail struct {
	state string
	// uncertain is how many attempts ended without anybody knowing whether the
	// mail was taken; underway, that one goes on.
	uncertain  int
	underway   bool
	messageID  string
	refusedFor string
	// email is empty where the contact was erased.
	email string
}

// label is what our database has of a parcel's label.
type label struct {
	key              string
	sha256           []byte
	number, tracking string
	lines            []string // "2 × SKU"
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
	b := books{orders: map[string]order{}, mails: map[string]mail{}, labels: map[string]label{}, journal: map[string][]transfer{}}
	var id, change string
	var o order
	err := each(ctx, tx, `
		select o.id::text, o.status, coalesce(o.cancel_reason, ''), o.total_amount, o.currency, o.settled_at is not null,
		       exists (select from order_events e where e.order_id = o.id and e.name = 'inventory-updated'),
		       exists (select from order_events e where e.order_id = o.id and e.source = 'shipment-preparation' and e.cause = 'inventory-updated'),
		       coalesce(p.state, 'none'), coalesce(p.amount, 0), coalesce(p.currency, ''), coalesce(p.provider_id, ''), coalesce(p.refunded_amount, 0)
		from orders o left join payments p on p.order_id = o.id`,
		[]any{
			&id, &o.status, &o.reason, &o.total.Amount, &o.total.Currency, &o.settled, &o.reserved, &o.prepared,
			&o.payment, &o.paid.Amount, &o.paid.Currency, &o.paymentID, &o.refunded,
		},
		func() { b.orders[id] = o })
	if err != nil {
		return books{}, fmt.Errorf("read orders: %w", err)
	}
	var m mail
	err = each(ctx, tx, `
		select n.order_id::text, n.change, n.state, n.uncertain, n.state = 'sending' and n.last_error is null,
		       coalesce(n.message_id, ''), coalesce(n.refused_for, ''), coalesce(c.email, '')
		from notifications n left join order_contacts c on c.order_id = n.order_id
		union all
		-- A link may be asked for again: of its mails as many may have arrived as were tried.
		select m.order_id::text, 'order-link', case m.state when 'sent' then m.state else 'due' end, m.attempts - 1, true,
		       coalesce(m.message_id, ''), '', coalesce(c.email, '')
		from order_link_mails m left join order_contacts c on c.order_id = m.order_id`,
		[]any{&id, &change, &m.state, &m.uncertain, &m.underway, &m.messageID, &m.refusedFor, &m.email},
		func() { b.mails[mailKey(id, change)] = m })
	if err != nil {
		return books{}, fmt.Errorf("read notifications: %w", err)
	}
	if b.fates, err = readFates(ctx, tx); err != nil {
		return books{}, err
	}
	var l label
	err = each(ctx, tx, `
		select s.label_key, s.label_sha256, s.tracking_number, o.number, array_agg(l.quantity || ' × ' || l.sku order by l.line)
		from shipments s join orders o on o.id = s.order_id join order_lines l on l.order_id = o.id
		group by s.order_id, o.id`,
		[]any{&l.key, &l.sha256, &l.tracking, &l.number, &l.lines},
		func() {
			l.sha256, l.lines = slices.Clone(l.sha256), slices.Clone(l.lines)
			b.labels[l.key] = l
		})
	if err != nil {
		return books{}, fmt.Errorf("read shipments: %w", err)
	}
	var t transfer
	err = each(ctx, tx, `select order_id::text, kind, amount, currency, debit, credit from money_transfers order by order_id, at, id`,
		[]any{&id, &t.kind, &t.amount.Amount, &t.amount.Currency, &t.debit, &t.credit},
		func() { b.journal[id] = append(b.journal[id], t) })
	if err != nil {
		return books{}, fmt.Errorf("read journal of money: %w", err)
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
