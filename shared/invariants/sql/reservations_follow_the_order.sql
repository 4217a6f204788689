-- Units are held for a live order that has them reserved, gone with a shipped one, and released by a cancelled one as soon as the cancellation was handled.
select o.id, o.status, r.sku, r.state
from orders o join reservations r on r.order_id = o.id
where (o.status in ('placed', 'payment_verified'))
   or (o.status = 'inventory_updated' and r.state <> 'held')
   or (o.status = 'shipped' and r.state <> 'shipped')
   or (o.status = 'cancelled' and r.state = 'shipped')
   or (o.status = 'cancelled' and r.state = 'held' and exists (
        select from order_events e where e.order_id = o.id and e.source = 'order-cancellation' and e.cause = 'order-cancelled'))
union all
select o.id, o.status, null, 'missing'
from orders o
where o.status in ('inventory_updated', 'shipped') and not exists (select from reservations r where r.order_id = o.id)
