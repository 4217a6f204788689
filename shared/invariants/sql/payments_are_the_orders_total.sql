-- What is paid is what the order comes to, and that is the sum of its lines.
select o.id, o.total_amount, o.currency, p.amount, p.currency as paid_in, l.lines
from orders o
left join payments p on p.order_id = o.id
left join lateral (select sum(quantity * price_amount) as lines from order_lines where order_id = o.id) l on true
where o.total_amount is distinct from l.lines
   or (p.order_id is not null and (p.amount, p.currency) is distinct from (o.total_amount, o.currency))
