-- The payment that an event names is the one that the provider gave the order.
select e.order_id, e.name, e.data ->> 'payment_id' as told, p.provider_id
from order_events e left join payments p on p.order_id = e.order_id
where e.type is not null
  and (e.name = 'payment-verified' or e.data ? 'payment_id')
  and e.data ->> 'payment_id' is distinct from p.provider_id
