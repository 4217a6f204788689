-- at rest: The figures are what the events come to, minute by minute.
with lines as (
    select e.occurred_at, l.line
    from order_events e cross join lateral jsonb_array_elements(e.data -> 'lines') as l (line)
    where e.name = 'order-shipped' and e.type is not null
), back as (
    select e.occurred_at, l.line
    from order_events e cross join lateral jsonb_array_elements(e.data -> 'lines') as l (line)
    where e.name like 'order-returned/%' and e.type is not null
), fold as (
    select date_trunc('minute', occurred_at, 'UTC') as minute, 'orders_placed' as metric, '' as dimension, count(*)::bigint as value
    from order_events where name = 'order-placed' and type is not null group by 1
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'orders_shipped', '', count(*)
    from order_events where name = 'order-shipped' and type is not null group by 1
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'orders_cancelled', data ->> 'reason', count(*)
    from order_events where name = 'order-cancelled' and type is not null group by 1, 3
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'items_sold', line ->> 'sku', sum((line ->> 'quantity')::bigint)::bigint
    from lines group by 1, 3
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'items_returned', line ->> 'sku', sum((line ->> 'quantity')::bigint)::bigint
    from back group by 1, 3
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'refunded', data -> 'refund' ->> 'currency', sum((data -> 'refund' ->> 'amount')::bigint)::bigint
    from order_events where name like 'order-returned/%' and type is not null group by 1, 3
    union all
    select date_trunc('minute', occurred_at, 'UTC'), 'revenue', data -> 'total' ->> 'currency', sum((data -> 'total' ->> 'amount')::bigint)::bigint
    from order_events where name = 'order-shipped' and type is not null group by 1, 3
), counted as (
    select minute, metric, dimension, sum(value)::bigint as value from analytics_minutes group by 1, 2, 3
)
select coalesce(f.minute, c.minute) as minute, coalesce(f.metric, c.metric) as metric, coalesce(f.dimension, c.dimension) as dimension,
       f.value as events_say, c.value as counted
from fold f full join counted c on (c.minute, c.metric, c.dimension) = (f.minute, f.metric, f.dimension)
where coalesce(f.value, 0) <> coalesce(c.value, 0)
