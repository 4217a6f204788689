-- A parcel goes out for a shipped order and for no other, with the carrier and the tracking number that were told.
select o.id, o.status, s.tracking_number, e.data ->> 'tracking_number' as told
from orders o
left join shipments s on s.order_id = o.id
left join order_events e on e.order_id = o.id and e.name = 'order-shipped'
where (o.status = 'shipped') <> (s.order_id is not null)
   or (o.status = 'shipped' and (s.tracking_number, s.carrier) is distinct from (e.data ->> 'tracking_number', e.data ->> 'carrier'))
