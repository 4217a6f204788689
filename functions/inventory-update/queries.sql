-- name: LockStock :many
-- In SKU order, so that orders that share articles wait for each other instead
-- of deadlocking. What is available is read after the wait. Quantities are the
-- order's own: what was paid for, not what a message says.
select line.sku, line.quantity, coalesce(locked.available, 0)::bigint as available
from order_lines as line
left join (
    select stock.sku, stock.on_hand - stock.reserved as available
    from stock
    where stock.sku in (select ordered.sku from order_lines as ordered where ordered.order_id = @order_id)
    order by stock.sku
    for no key update
) as locked on locked.sku = line.sku
where line.order_id = @order_id
order by line.line;

-- name: Reserve :execrows
-- The condition stands in the update although the rows are locked: stock is
-- never promised on the word of an earlier statement.
with taken as (
    update stock
    set reserved = stock.reserved + line.quantity
    from order_lines as line
    where line.order_id = @order_id and stock.sku = line.sku and stock.on_hand - stock.reserved >= line.quantity
    returning stock.sku, line.quantity
)
insert into reservations (order_id, sku, quantity, state)
select @order_id, sku, quantity, 'held' from taken;
