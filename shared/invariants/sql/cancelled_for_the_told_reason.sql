-- The reason an order carries is the one its event told everybody.
select o.id, o.cancel_reason, e.data ->> 'reason' as told
from orders o join order_events e on e.order_id = o.id and e.name = 'order-cancelled'
where o.cancel_reason is distinct from e.data ->> 'reason'
