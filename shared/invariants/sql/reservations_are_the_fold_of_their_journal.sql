-- What is reserved for each line of an order, or gone, is what the journal of units has of it.
with moved as (
    select order_id, sku, credit as account, quantity from stock_transfers where order_id is not null
    union all
    select order_id, sku, debit, -quantity from stock_transfers where order_id is not null
), balance as (
    select order_id, sku, coalesce(sum(quantity) filter (where account = 'reserved'), 0)::bigint as reserved,
           coalesce(sum(quantity) filter (where account = 'shipped'), 0)::bigint as shipped
    from moved
    group by order_id, sku
)
select coalesce(r.order_id, b.order_id) as order_id, coalesce(r.sku, b.sku) as sku, r.state, r.quantity, r.returned,
       b.reserved as reserved_by_journal, b.shipped as shipped_by_journal
from reservations r full join balance b on b.order_id = r.order_id and b.sku = r.sku
where coalesce(b.reserved, 0) <> case r.state when 'held' then r.quantity else 0 end
   or coalesce(b.shipped, 0) <> case r.state when 'shipped' then r.quantity - r.returned else 0 end
