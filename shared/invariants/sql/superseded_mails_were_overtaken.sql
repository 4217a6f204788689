-- Only a confirmation is superseded: by the order's cancellation, or by the mail that it was shipped.
select n.order_id, n.change, o.status
from notifications n
join orders o on o.id = n.order_id
where n.state = 'superseded'
  and not (n.change = 'order-placed'
           and (o.status = 'cancelled'
                or exists (select from notifications later
                           where later.order_id = n.order_id and later.change = 'order-shipped' and later.state = 'sent')))
