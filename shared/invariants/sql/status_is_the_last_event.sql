-- An order stands where its last event left it, and has one event for each of its moves.
with last as (
    select distinct on (order_id) order_id, name
    from order_events
    where type is not null and name not like 'order-returned/%'
    order by order_id, position desc
)
select o.id, o.status, last.name
from orders o left join last on last.order_id = o.id
where (o.status, last.name) not in (
    ('placed', 'order-placed'), ('payment_verified', 'payment-verified'), ('inventory_updated', 'inventory-updated'),
    ('shipped', 'order-shipped'), ('cancelled', 'order-cancelled')) or last.name is null
