-- What an operator does to orders. sqlc makes internal/store from it.

-- name: FindOrder :one
-- By its id, or by its number.
select id from orders where id = sqlc.narg(id) or number = @number::text;

-- name: DescribeOrder :one
-- Under the order's lock. The trace of its events is carried on by none of an
-- operator's, but where there are traces each begins one of its own.
select o.number, o.total_amount, o.currency, clock_timestamp()::timestamptz as now,
       coalesce(p.state, '')::text as payment_state, coalesce(p.amount - p.refunded_amount, 0)::bigint as kept,
       exists (select from order_events e where e.order_id = o.id and e.name = 'order-placed' and e.traceparent <> '') as traced
from orders o
left join payments p on p.order_id = o.id
where o.id = @order_id;

-- name: ListShipped :many
select sku, quantity from reservations where order_id = @order_id and state = 'shipped' order by sku;

-- name: ListReturns :many
-- The returns of an order, and whether their money was given back already.
select e.data,
       exists (select from order_events h
               where h.order_id = e.order_id and h.source = 'order-cancellation' and h.cause = e.name) as carried_out
from order_events e
where e.order_id = @order_id and e.type is not null and e.name like 'order-returned/%'
order by e.position;

-- name: FindAct :one
select a.id, a.order_id, a.action, a.event, a.actor, a.at, e.type::text as type, e.data, e.source, e.traceparent, e.occurred_at,
       (e.published_at is not null)::boolean as published
from order_acts a
join order_events e on e.order_id = a.order_id and e.name = a.event
where a.reference = @reference::text;

-- name: InsertAct :many
-- Nothing where the reference is on record, of another order.
insert into order_acts (order_id, action, event, reference, reason, actor)
values (@order_id, @action, @event, sqlc.narg(reference), @reason, @actor)
on conflict (reference) do nothing
returning id, at;

-- name: Reopen :exec
-- An order that was done with has something to wait for again: see settled_at.
update orders set settled_at = null, resends = 0, resend_after = null, updated_at = @at where id = @order_id;
