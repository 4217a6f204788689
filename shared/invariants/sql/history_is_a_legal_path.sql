-- Each event of an order's life follows one that the table of transitions allows it to follow; a return moves no order, and is of a shipped one.
with path as (
    select order_id, name, lag(name) over (partition by order_id order by position) as before
    from order_events
    where type is not null and name not like 'order-returned/%'
)
select order_id, before, name
from path
where (coalesce(before, 'nothing'), name) not in (
    ('nothing', 'order-placed'),
    ('order-placed', 'payment-verified'), ('order-placed', 'order-cancelled'),
    ('payment-verified', 'inventory-updated'), ('payment-verified', 'order-cancelled'),
    ('inventory-updated', 'order-shipped'), ('inventory-updated', 'order-cancelled'))
union all
select r.order_id, null, r.name
from order_events r
where r.name like 'order-returned/%'
  and not exists (select from order_events s where s.order_id = r.order_id and s.name = 'order-shipped' and s.type is not null and s.position < r.position)
