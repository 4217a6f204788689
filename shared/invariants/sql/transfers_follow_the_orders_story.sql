-- Money and units of an order move because of an event that has happened to it and leads to just that, or by the hand of somebody who is on record.
with transfer as (
    select order_id, kind, cause, actor from money_transfers
    union all
    select order_id, kind, cause, actor from stock_transfers where order_id is not null
)
select t.order_id, t.kind, t.cause, t.actor
from transfer t
left join order_events e on e.order_id = t.order_id and e.name = t.cause and e.type is not null
where (t.cause is null and t.actor is null)
   or (t.cause is not null and (e.order_id is null or (t.kind, split_part(t.cause, '/', 1)) not in (
        ('authorise', 'order-placed'), ('reserve', 'payment-verified'), ('capture', 'inventory-updated'), ('ship', 'inventory-updated'),
        ('void', 'order-placed'), ('void', 'inventory-updated'), ('void', 'order-cancelled'),
        ('refund', 'inventory-updated'), ('refund', 'order-cancelled'), ('refund', 'order-returned'), ('return', 'order-returned'), ('release', 'order-cancelled'))))
