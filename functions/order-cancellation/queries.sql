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
