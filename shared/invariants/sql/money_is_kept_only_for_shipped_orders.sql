-- A payment is captured for a shipped order and for no other, and given back whole only by its returns; a cancelled order's money is not held or kept once the cancellation was handled.
select o.id, o.status, p.state
from orders o left join payments p on p.order_id = o.id
where (o.status = 'shipped' and p.state is distinct from 'captured' and (p.state is distinct from 'refunded' or not exists (
        select from order_events e where e.order_id = o.id and e.name like 'order-returned/%' and e.type is not null)))
   or (o.status in ('payment_verified', 'inventory_updated') and p.state is distinct from 'authorised')
   or (o.status = 'placed' and p.state is not null)
   or (o.status = 'cancelled' and p.state in ('authorised', 'captured') and exists (
        select from order_events e where e.order_id = o.id and e.source = 'order-cancellation' and e.cause = 'order-cancelled'))
