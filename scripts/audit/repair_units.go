package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// unitsRow is a line of an order: what is reserved for it, what the journal has of
// it, and what its order's history says.
type unitsRow struct {
	Order    uuid.UUID
	SKU      string
	Quantity int64
	// Due is the state that the history leaves it in; "none" is no reservation.
	Due, State         string
	Reserved           int64 // by the reservation
	InHand, Gone       int64 // reserved and shipped, by the journal
	InHandDue, GoneDue int64
	// Returned is what came back of it and is for sale again.
	Returned, ReturnedDue int64
}

// An order that moves on, or whose cancellation nobody has handled, is left alone: its
// functions will do what is due.
const unitsDue = `
with line as (
    select o.id as order_id, l.sku, l.quantity, case
           when o.status in ('placed', 'payment_verified') then 'none'
           when o.status = 'inventory_updated' then 'held'
           when o.status = 'shipped' and exists (select from shipments s where s.order_id = o.id) then 'shipped'
           when o.status = 'cancelled' and exists (
                select from order_events e where e.order_id = o.id and e.source = 'order-cancellation' and e.cause = 'order-cancelled')
           then case when exists (select from order_events e where e.order_id = o.id and e.name = 'inventory-updated' and e.type is not null)
                     then 'released' else 'none' end
           end as due
    from orders o join order_lines l on l.order_id = o.id
    where $1::uuid is null or o.id = $1
), back as (
    select e.order_id, l.line ->> 'sku' as sku, sum((l.line ->> 'quantity')::bigint)::bigint as quantity
    from order_events e cross join lateral jsonb_array_elements(e.data -> 'lines') as l (line)
    where e.name like 'order-returned/%' and e.type is not null and (l.line ->> 'restocked')::boolean and ($1::uuid is null or e.order_id = $1)
      and exists (select from order_events h where h.order_id = e.order_id and h.source = 'order-cancellation' and h.cause = e.name)
    group by 1, 2
), moved as (
    select order_id, sku, credit as account, quantity from stock_transfers where order_id is not null and ($1::uuid is null or order_id = $1)
    union all
    select order_id, sku, debit, -quantity from stock_transfers where order_id is not null and ($1::uuid is null or order_id = $1)
), balance as (
    select order_id, sku, sum(quantity) filter (where account = 'reserved') as reserved, sum(quantity) filter (where account = 'shipped') as shipped
    from moved
    group by order_id, sku
), compared as (
    select line.order_id, line.sku, line.quantity::bigint as quantity, line.due,
           coalesce(r.state, 'none') as state, coalesce(r.quantity, 0)::bigint as reserved,
           coalesce(b.reserved, 0)::bigint as in_hand, coalesce(b.shipped, 0)::bigint as gone,
           case line.due when 'held' then line.quantity else 0 end::bigint as in_hand_due,
           case line.due when 'shipped' then line.quantity - coalesce(back.quantity, 0) else 0 end::bigint as gone_due,
           coalesce(r.returned, 0)::bigint as returned, coalesce(back.quantity, 0) as returned_due
    from line
    left join reservations r on r.order_id = line.order_id and r.sku = line.sku
    left join balance b on b.order_id = line.order_id and b.sku = line.sku
    left join back on back.order_id = line.order_id and back.sku = line.sku
    where line.due is not null
)
select order_id, sku, quantity, due, state, reserved, in_hand, gone, in_hand_due, gone_due, returned, returned_due
from compared
where state <> due or (due <> 'none' and reserved <> quantity) or in_hand <> in_hand_due or gone <> gone_due or returned <> returned_due
order by order_id, sku`

// unitsMove is what repairs move of an article, from and to what is available.
type unitsMove struct{ inHand, gone int64 }

// units plans to have what is reserved follow the orders' histories. It returns the
// articles of orders that are doubtful, and what it moves of all others.
func (p *plan) units(ctx context.Context, tx pgx.Tx) (doubtful map[string]bool, moves map[string]unitsMove, err error) {
	found, err := rows[unitsRow](ctx, tx, unitsDue, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("plan units: %w", err)
	}
	strange, err := rows[struct {
		Order uuid.UUID
		SKU   string
	}](ctx, tx, `select r.order_id, r.sku from reservations r left join order_lines l on l.order_id = r.order_id and l.sku = r.sku
		where l.sku is null order by 1, 2`)
	if err != nil {
		return nil, nil, fmt.Errorf("plan units: %w", err)
	}
	doubtful, moves = map[string]bool{}, map[string]unitsMove{}
	for _, one := range strange {
		doubtful[one.SKU] = true
		p.unsure = append(p.unsure, fmt.Sprintf("order %s: it has %s reserved, and no such line", one.Order, one.SKU))
	}
	for len(found) > 0 {
		end := slices.IndexFunc(found, func(row unitsRow) bool { return row.Order != found[0].Order })
		if end < 0 {
			end = len(found)
		}
		order := found[:end]
		found = found[end:]
		if early := slices.IndexFunc(order, func(row unitsRow) bool { return row.Due == "none" && row.State != "none" }); early >= 0 {
			p.unsure = append(p.unsure, fmt.Sprintf("order %s: it has %s reserved, and its history knows nothing of that", order[0].Order, order[early].SKU))
			for _, row := range order {
				doubtful[row.SKU] = true
			}
			continue
		}
		if odd := slices.IndexFunc(order, func(row unitsRow) bool { return row.Returned != row.ReturnedDue }); odd >= 0 {
			p.unsure = append(p.unsure, fmt.Sprintf("order %s: %d %s are on record as come back, and its returns say %d",
				order[0].Order, order[odd].Returned, order[odd].SKU, order[odd].ReturnedDue))
			for _, row := range order {
				doubtful[row.SKU] = true
			}
			continue
		}
		p.remedies = append(p.remedies, unitsRemedy(order))
		for _, row := range order {
			move := moves[row.SKU]
			moves[row.SKU] = unitsMove{move.inHand + row.InHandDue - row.InHand, move.gone + row.GoneDue - row.Gone}
		}
	}
	return doubtful, moves, nil
}

// unitsRemedy are the lines of one order that are to be set right.
type unitsRemedy []unitsRow

func (r unitsRemedy) changes() []change {
	var all []change
	for _, row := range r {
		subject, because := "order "+row.Order.String(), "what its history and its lines say"
		if was, due := held(row.State, row.Reserved), held(row.Due, row.Quantity); was != due {
			all = append(all, change{subject, "reservation of " + row.SKU, was, due, because})
		}
		if row.InHand != row.InHandDue || row.Gone != row.GoneDue {
			all = append(all, change{subject, "journal of " + row.SKU, fmt.Sprintf("%d reserved, %d shipped", row.InHand, row.Gone),
				fmt.Sprintf("%d reserved, %d shipped", row.InHandDue, row.GoneDue), because})
		}
	}
	return all
}

func held(state string, quantity int64) string {
	if state == "none" {
		return "none"
	}
	return fmt.Sprintf("%d %s", quantity, state)
}

func (r unitsRemedy) ready(context.Context) error { return nil }

func (r unitsRemedy) apply(ctx context.Context, tx pgx.Tx) ([]change, error) {
	order := r[0].Order
	if _, err := tx.Exec(ctx, `select from orders where id = $1 for no key update`, order); err != nil {
		return nil, fmt.Errorf("lock order: %w", err)
	}
	found, err := rows[unitsRow](ctx, tx, unitsDue, order)
	if err != nil {
		return nil, fmt.Errorf("read units: %w", err)
	}
	if !slices.Equal(found, r) {
		return nil, errElsewhere
	}
	for _, row := range r {
		if err := row.mend(ctx, tx); err != nil {
			return nil, err
		}
	}
	return r.changes(), nil
}

// mend has the reservation say what is due, and then the journal, by a correction of
// what it hasn't followed.
func (row unitsRow) mend(ctx context.Context, tx pgx.Tx) error {
	if row.Due != "none" {
		if _, err := tx.Exec(ctx, `insert into reservations as r (order_id, sku, quantity, state) values ($1, $2, $3, $4)
			on conflict (order_id, sku) do update set quantity = excluded.quantity, state = excluded.state
			where (r.quantity, r.state) <> (excluded.quantity, excluded.state)`, row.Order, row.SKU, row.Quantity, row.Due); err != nil {
			return fmt.Errorf("mend reservation: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, `
		with moved as (
		    select credit as account, quantity from stock_transfers where order_id = $1 and sku = $2
		    union all
		    select debit, -quantity from stock_transfers where order_id = $1 and sku = $2
		)
		insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, actor, reason)
		select $2, $1, 'correction', case when missing > 0 then 'available' else account end,
		       case when missing > 0 then account else 'available' end, abs(missing), told('actor'), told('reason')
		from (values ('reserved', $3::bigint), ('shipped', $4::bigint)) as due (account, quantity)
		cross join lateral (select due.quantity - coalesce(sum(m.quantity), 0)::bigint as missing from moved m where m.account = due.account) as gap
		where missing <> 0`, row.Order, row.SKU, row.InHandDue, row.GoneDue); err != nil {
		return fmt.Errorf("mend journal: %w", err)
	}
	return nil
}
