-- A function asks the payment provider for what the order owes, because of an event that has happened to it and that the function reads, and one idempotency key always stands for the same request.
select a.order_id, a.step, a.key, a.amount, a.currency, a.source, a.cause, o.total_amount, o.currency as currency_of_order
from payment_attempts a
left join orders o on o.id = a.order_id
left join order_events e on e.order_id = a.order_id and e.name = a.cause and e.type is not null
where o.id is null or e.order_id is null
   or (a.step <> 'refund' and (a.amount, a.currency) <> (o.total_amount, o.currency))
   or (a.step <> 'refund' and (a.step, a.source, a.cause) not in (
        ('authorise', 'payment-verification', 'order-placed'), ('release', 'payment-verification', 'order-placed'),
        ('capture', 'shipment-preparation', 'inventory-updated'), ('release', 'shipment-preparation', 'inventory-updated'),
        ('release', 'order-cancellation', 'order-cancelled')))
   or (a.step = 'refund' and (a.source <> 'order-cancellation'
        or (a.amount, a.currency) is distinct from ((e.data -> 'refund' ->> 'amount')::bigint, e.data -> 'refund' ->> 'currency')))
   or exists (
        select from payment_attempts other
        where other.order_id = a.order_id and other.key = a.key and other.request_hash <> a.request_hash)
