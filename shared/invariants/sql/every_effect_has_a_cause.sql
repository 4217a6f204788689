-- What a function wrote because of an event, it wrote because of one that happened to this order.
select e.order_id, e.source, e.name, e.cause
from order_events e
where (e.cause is null and e.source not in ('storefront', 'backoffice'))
   or (e.cause is not null and not exists (
        select from order_events c where c.order_id = e.order_id and c.name = e.cause and c.type is not null))
