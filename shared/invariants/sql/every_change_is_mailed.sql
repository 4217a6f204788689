-- at rest: Each change that customers are told of has its mail: sent, refused for good, or superseded by a later one.
select e.order_id, e.name, n.state, n.attempts, n.last_error
from order_events e
left join notifications n on n.order_id = e.order_id
    and n.change = case e.name when 'payment-verified' then 'order-placed' else e.name end
where e.type is not null and (e.name in ('payment-verified', 'order-shipped', 'order-cancelled') or e.name like 'order-returned/%')
  and (n.state is null or n.state = 'sending')
