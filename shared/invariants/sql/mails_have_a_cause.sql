-- No mail without the event that it tells of; an order is confirmed once its payment is verified.
select n.order_id, n.change
from notifications n
where not exists (
    select from order_events e
    where e.order_id = n.order_id and e.type is not null
      and e.name = case n.change when 'order-placed' then 'payment-verified' else n.change end)
