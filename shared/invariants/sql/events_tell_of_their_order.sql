-- Each event has the number, the lines and the total of its order, and the type of its name; what it says was short is of the order's lines.
with line as (
    select l.order_id, jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity,
           'unit_price', jsonb_build_object('amount', l.price_amount, 'currency', o.currency)) order by l.sku) as lines
    from order_lines l join orders o on o.id = l.order_id
    group by l.order_id
)
select o.id, e.name, e.type, e.data ->> 'number' as number, e.data #>> '{total,amount}' as total
from orders o
join order_events e on e.order_id = o.id and e.type is not null
left join line l on l.order_id = o.id
where e.data ->> 'order_id' is distinct from o.id::text
   or e.data ->> 'number' is distinct from o.number
   or e.data -> 'total' is distinct from jsonb_build_object('amount', o.total_amount, 'currency', o.currency)
   or (e.name not like 'order-returned/%'
       and (select jsonb_agg(told order by told ->> 'sku') from jsonb_array_elements(e.data -> 'lines') as told) is distinct from l.lines)
   or e.type !~ ('^orderflow\.' || replace(split_part(e.name, '/', 1), '-', '\.') || '\.v[0-9]+$')
   or exists (
        select from jsonb_array_elements(e.data -> 'short') as short
        where short - array['sku', 'wanted', 'available'] <> '{}' or jsonb_typeof(short -> 'available') <> 'number'
           or not exists (select from order_lines l where l.order_id = o.id and l.sku = short ->> 'sku' and to_jsonb(l.quantity) = short -> 'wanted'))
