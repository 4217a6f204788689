-- at rest: Every event was handled by every function that the catalogue has read it.
select e.order_id, e.name, r.reader
from order_events e
join (values
    ('order-placed', 'payment-verification'), ('order-placed', 'customer-notification'), ('order-placed', 'order-analytics'),
    ('payment-verified', 'inventory-update'), ('payment-verified', 'customer-notification'), ('payment-verified', 'order-analytics'),
    ('inventory-updated', 'shipment-preparation'), ('inventory-updated', 'customer-notification'), ('inventory-updated', 'order-analytics'),
    ('order-shipped', 'customer-notification'), ('order-shipped', 'order-analytics'),
    ('order-cancelled', 'order-cancellation'), ('order-cancelled', 'customer-notification'), ('order-cancelled', 'order-analytics'),
    ('order-returned', 'order-cancellation'), ('order-returned', 'customer-notification'), ('order-returned', 'order-analytics')
) as r (name, reader) on r.name = split_part(e.name, '/', 1)
left join order_events h on h.order_id = e.order_id and h.source = r.reader and h.cause = e.name
where e.type is not null and h.order_id is null
