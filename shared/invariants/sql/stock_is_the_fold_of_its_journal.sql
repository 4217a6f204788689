-- Each figure of an article's stock is what its journal comes to.
with moved as (
    select sku, credit as account, quantity from stock_transfers
    union all
    select sku, debit, -quantity from stock_transfers
), balance as (
    select sku, coalesce(sum(quantity) filter (where account in ('available', 'reserved')), 0)::bigint as on_hand,
           coalesce(sum(quantity) filter (where account = 'reserved'), 0)::bigint as reserved,
           coalesce(sum(quantity) filter (where account = 'shipped'), 0)::bigint as shipped,
           -coalesce(sum(quantity) filter (where account = 'supplier'), 0)::bigint as came,
           -coalesce(sum(quantity) filter (where account = 'adjusted'), 0)::bigint as adjusted
    from moved
    group by sku
)
select coalesce(s.sku, b.sku) as sku, s.on_hand, b.on_hand as on_hand_by_journal, s.reserved, b.reserved as reserved_by_journal,
       s.shipped - s.returned as shipped, b.shipped as shipped_by_journal, s.opening + s.received as came, b.came as came_by_journal,
       s.adjusted, b.adjusted as adjusted_by_journal
from stock s full join balance b on b.sku = s.sku
where (coalesce(s.on_hand, 0), coalesce(s.reserved, 0), coalesce(s.shipped - s.returned, 0), coalesce(s.opening + s.received, 0), coalesce(s.adjusted, 0))
   <> (coalesce(b.on_hand, 0), coalesce(b.reserved, 0), coalesce(b.shipped, 0), coalesce(b.came, 0), coalesce(b.adjusted, 0))
