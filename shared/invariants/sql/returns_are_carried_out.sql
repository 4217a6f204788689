-- What returns tell is of their order and no more than was shipped and paid; each that was handled has moved just that money and those units, and no other has moved any.
with told as (
    select e.order_id, e.name, e.data, (e.data #>> '{refund,amount}')::bigint as refund, e.data #>> '{refund,currency}' as currency,
           exists (select from order_events h where h.order_id = e.order_id and h.source = 'order-cancellation' and h.cause = e.name) as handled
    from order_events e
    where e.name like 'order-returned/%' and e.type is not null
), line as (
    select t.order_id, t.name, t.handled, l.line ->> 'sku' as sku, (l.line ->> 'quantity')::bigint as quantity, (l.line ->> 'restocked')::boolean as restocked
    from told t cross join lateral jsonb_array_elements(t.data -> 'lines') as l (line)
), money as (
    select order_id, cause, currency, sum(amount)::bigint as amount from money_transfers where kind = 'refund' and cause like 'order-returned/%' group by 1, 2, 3
), units as (
    select order_id, cause, sku, sum(quantity)::bigint as quantity from stock_transfers where kind = 'return' and cause is not null group by 1, 2, 3
)
select coalesce(t.order_id, m.order_id) as order_id, coalesce(t.name, m.cause) as event, 'money' as what, t.refund as told, m.amount as moved
from told t full join money m on m.order_id = t.order_id and m.cause = t.name and m.currency = t.currency
where coalesce(case when t.handled then t.refund end, 0) <> coalesce(m.amount, 0)
union all
select coalesce(l.order_id, u.order_id), coalesce(l.name, u.cause), coalesce(l.sku, u.sku), l.quantity, u.quantity
from (select order_id, name, sku, sum(quantity) as quantity from line where handled and restocked group by 1, 2, 3) l
full join units u on u.order_id = l.order_id and u.cause = l.name and u.sku = l.sku
where coalesce(l.quantity, 0) <> coalesce(u.quantity, 0)
union all
select l.order_id, 'all', l.sku, sum(l.quantity)::bigint, o.quantity
from line l left join order_lines o on o.order_id = l.order_id and o.sku = l.sku
group by l.order_id, l.sku, o.quantity
having sum(l.quantity) > coalesce(o.quantity, 0)
union all
select t.order_id, 'all', 'money', sum(t.refund)::bigint, o.total_amount
from told t join orders o on o.id = t.order_id
group by t.order_id, o.total_amount, o.currency
having sum(t.refund) > o.total_amount or bool_or(t.currency is distinct from o.currency)
union all
select t.order_id, t.name, t.data ->> 'reason', (t.data ->> 'return_number')::bigint, null
from told t
where t.name is distinct from 'order-returned/' || (t.data ->> 'return_number')
   or t.data ->> 'reason' not in ('not_wanted', 'damaged', 'wrong_item', 'lost_in_post', 'goodwill')
