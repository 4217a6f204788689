-- A cancellation because of what a provider told is for a payment that expired, and the provider's word for it is kept.
select e.order_id, e.data ->> 'reason' as reason
from order_events e
where e.source = 'provider-webhooks'
  and (e.name <> 'order-cancelled' or e.data ->> 'reason' <> 'payment_expired'
       or not exists (select from payment_events p where p.order_id = e.order_id and p.type = 'payment_intent.canceled'))
