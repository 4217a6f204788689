-- What an operator did to an order is signed, with the word for it, and has led to its event; and no operator's event is without.
select coalesce(a.order_id, e.order_id) as order_id, coalesce(a.event, e.name) as event, a.action, a.actor, a.reason, e.source
from order_acts a
full join (select order_id, name, source, data from order_events where source = 'backoffice' and type is not null) e
  on e.order_id = a.order_id and e.name = a.event
where a.order_id is null or e.order_id is null or a.actor = ''
   or (a.action = 'cancel') is distinct from (e.name = 'order-cancelled')
   or (a.action = 'take_back') is distinct from (e.name like 'order-returned/%')
   or (a.action = 'cancel' and e.data ->> 'reason' is distinct from 'operator_request')
