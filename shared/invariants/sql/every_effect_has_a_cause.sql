-- What a function wrote because of an event, it wrote because of one that happened to this order before, and that it reads.
select e.order_id, e.source, e.name, e.cause
from order_events e
left join order_events c on c.order_id = e.order_id and c.name = e.cause and c.type is not null and c.position < e.position
where (e.cause is null and e.source not in ('storefront', 'backoffice', 'provider-webhooks'))
   or (e.cause is not null and (c.name is null or (split_part(e.cause, '/', 1), e.source) not in (
    ('order-placed', 'payment-verification'), ('order-placed', 'customer-notification'), ('order-placed', 'order-analytics'),
    ('payment-verified', 'inventory-update'), ('payment-verified', 'customer-notification'), ('payment-verified', 'order-analytics'),
    ('inventory-updated', 'shipment-preparation'), ('inventory-updated', 'customer-notification'), ('inventory-updated', 'order-analytics'),
    ('order-shipped', 'customer-notification'), ('order-shipped', 'order-analytics'),
    ('order-cancelled', 'order-cancellation'), ('order-cancelled', 'customer-notification'), ('order-cancelled', 'order-analytics'),
    ('order-returned', 'order-cancellation'), ('order-returned', 'customer-notification'), ('order-returned', 'order-analytics'))))
