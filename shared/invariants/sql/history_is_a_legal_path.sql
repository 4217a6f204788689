-- Each event of an order's life follows one that the table of transitions allows it to follow.
with path as (
    select order_id, name, lag(name) over (partition by order_id order by position) as before
    from order_events
    where type is not null
)
select order_id, before, name
from path
where (coalesce(before, 'nothing'), name) not in (
    ('nothing', 'order-placed'),
    ('order-placed', 'payment-verified'), ('order-placed', 'order-cancelled'),
    ('payment-verified', 'inventory-updated'), ('payment-verified', 'order-cancelled'),
    ('inventory-updated', 'order-shipped'), ('inventory-updated', 'order-cancelled'))
