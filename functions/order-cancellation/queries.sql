-- name: ClosePayment :exec
-- Notes how the provider has closed a payment, also where it was authorised and
-- nobody lived to write that down. A payment that is closed stays as it is.
insert into payments as p (order_id, provider_id, state, amount, currency, decline_code, authorised_at, captured_at, closed_at)
values (@order_id, @provider_id, @state, @amount, @currency, @decline_code, @authorised_at, @captured_at, @closed_at)
on conflict (order_id) do update
set state = excluded.state, decline_code = excluded.decline_code, authorised_at = excluded.authorised_at,
    captured_at = excluded.captured_at, closed_at = excluded.closed_at
where p.state in ('authorised', 'captured') and p.provider_id = excluded.provider_id;

-- name: ReturnStock :exec
-- Lets go of what is held for an order; what was shipped or let go before is
-- not held. Stock is locked in SKU order, so that two orders never wait for
-- each other, and can't come below zero: a constraint undoes everything then.
with released as (
    update reservations
    set state = 'released'
    where order_id = $1 and state = 'held'
    returning sku, quantity
), locked as (
    select s.sku, released.quantity
    from stock s
    join released using (sku)
    order by s.sku
    for no key update of s
)
update stock s
set reserved = s.reserved - locked.quantity
from locked
where s.sku = locked.sku;

-- name: TellCause :exec
-- What the journals say of this transaction: a return leaves the order shipped, so
-- that its status doesn't tell.
select set_config('orderflow.cause', @cause::text, true);

-- name: RefundPart :execrows
-- Adds to what was given back, so that the returns of an order may come in any order.
-- No row where so much isn't kept.
update payments
set refunded_amount = refunded_amount + @refund::bigint,
    state = case when refunded_amount + @refund::bigint = amount then 'refunded' else state end,
    closed_at = case when refunded_amount + @refund::bigint = amount then @at::timestamptz else closed_at end
where order_id = @order_id and state = 'captured' and currency = @currency and refunded_amount + @refund::bigint <= amount;

-- name: Restock :execrows
-- Puts units that were shipped for an order back on sale, all of them or, by its
-- count of rows, too few. Stock is locked in SKU order, as everybody does.
with back as (
    select unnest(@skus::text[]) as sku, unnest(@quantities::int[]) as quantity
), returned as (
    update reservations r
    set returned = r.returned + back.quantity
    from back
    where r.order_id = @order_id and r.sku = back.sku and r.state = 'shipped' and r.returned + back.quantity <= r.quantity
    returning r.sku, back.quantity
), locked as (
    select s.sku, returned.quantity
    from stock s
    join returned using (sku)
    order by s.sku
    for no key update of s
)
update stock s
set returned = s.returned + locked.quantity, on_hand = s.on_hand + locked.quantity
from locked
where s.sku = locked.sku;
