-- What people ask about stock, and do about it. sqlc makes internal/store from it.

-- name: ListStock :many
select s.sku, p.name, s.opening, s.received, s.adjusted, s.on_hand, s.reserved, s.shipped, s.returned
from stock s
join products p using (sku)
where @sku::text = '' or s.sku = @sku
order by s.sku;

-- name: ListTransfers :many
-- The last ones of an article, latest first.
select t.kind, t.debit, t.credit, t.quantity, t.order_id, coalesce(t.cause, '')::text as cause, coalesce(t.actor, '')::text as actor,
       coalesce(t.reason, '')::text as reason, coalesce(a.reference, '')::text as reference, t.at
from stock_transfers t
left join stock_acts a on a.id = t.act_id
where t.sku = @sku
order by t.id desc
limit @page;

-- name: InsertAct :many
-- Nothing where the reference is on record. Who is about to write it is waited for.
insert into stock_acts (action, reference, reason, actor)
values (@action, sqlc.narg(reference), @reason, @actor)
on conflict (reference) do nothing
returning id, at;

-- name: FindAct :one
select id, action, actor, at from stock_acts where reference = @reference::text;

-- name: ListActLines :many
select sku, quantity from stock_act_lines where act_id = @act_id order by sku;

-- name: OpenStock :exec
-- An empty stock for what is taken in for the first time. Whoever opens the same is
-- waited for, so that LockStock finds every article, and locks it in its turn.
insert into stock (sku, opening, on_hand)
select sku, 0, 0 from products where sku = any (@skus::text[]) order by sku
on conflict (sku) do nothing;

-- name: LockStock :many
-- In SKU order, as everybody who locks stock.
select sku, on_hand, reserved from stock where sku = any (@skus::text[]) order by sku for no key update;

-- name: InsertActLine :exec
-- It takes effect as it is written down: see the trigger act_on_stock.
insert into stock_act_lines (act_id, sku, quantity) values (@act_id, @sku, @quantity);
