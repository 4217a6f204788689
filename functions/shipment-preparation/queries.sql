-- name: Destination :one
-- Where an order goes, and what it is by our books.
select orders.number, orders.total_amount, orders.currency,
       contact.name, contact.line1, contact.line2, contact.city, contact.postal_code, contact.country
from orders
join order_contacts as contact on contact.order_id = orders.id
where orders.id = $1;

-- name: Items :many
-- What is to be packed, and whether it is held for the order.
select line.sku, line.name, line.quantity,
       coalesce(held.state = 'held' and held.quantity = line.quantity, false)::boolean as held
from order_lines as line
left join reservations as held on held.order_id = line.order_id and held.sku = line.sku
where line.order_id = $1
order by line.line;

-- name: RecordPayment :execrows
-- Follows the provider along the only ways that a payment can go.
update payments
set state = @state,
    decline_code = @decline_code,
    captured_at = coalesce(@captured_at, captured_at),
    closed_at = @closed_at
where order_id = @order_id
  and (state = 'authorised' or (state = 'captured' and @state in ('captured', 'refunded')));

-- name: ShipUnits :execrows
-- Takes what is held for the order off the stock, in SKU order as everybody
-- who locks stock.
with units as (
    select stock.sku, held.quantity
    from stock
    join reservations as held on held.sku = stock.sku
    where held.order_id = @order_id and held.state = 'held'
    order by stock.sku
    for no key update of stock
), taken as (
    update stock
    set on_hand = stock.on_hand - units.quantity,
        reserved = stock.reserved - units.quantity,
        shipped = stock.shipped + units.quantity
    from units
    where stock.sku = units.sku
    returning stock.sku
)
update reservations
set state = 'shipped'
from taken
where reservations.order_id = @order_id and reservations.sku = taken.sku and reservations.state = 'held';

-- name: InsertShipment :exec
insert into shipments (order_id, carrier, tracking_number, label_key, label_sha256, prepared_at)
values (@order_id, @carrier, @tracking_number, @label_key, @label_sha256, @prepared_at);
