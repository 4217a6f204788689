-- Money, stock and parcels moved because of an event: no payment without who asks for one having handled its own, no reservation or parcel without the event that tells of it.
select p.order_id, 'payment ' || p.provider_id as what
from payments p
where not exists (
    select from order_events e
    where e.order_id = p.order_id
      and (e.source, e.cause) in (('payment-verification', 'order-placed'), ('order-cancellation', 'order-cancelled')))
union all
select r.order_id, 'reservation of ' || r.sku
from reservations r
where not exists (select from order_events e where e.order_id = r.order_id and e.name = 'inventory-updated' and e.type is not null)
union all
select s.order_id, 'parcel ' || s.tracking_number
from shipments s
where not exists (select from order_events e where e.order_id = s.order_id and e.name = 'order-shipped' and e.type is not null)
