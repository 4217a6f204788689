-- Each line of a receipt or a count has moved so many units of its article once, and no units were moved for one that isn't on record.
select coalesce(l.act_id, t.act_id) as act_id, coalesce(l.sku, t.sku) as sku, l.quantity, t.moved
from stock_act_lines l
full join (
    select act_id, sku, sum(case when credit = 'available' then quantity else -quantity end)::bigint as moved, count(*) as times
    from stock_transfers where act_id is not null group by act_id, sku
) t on t.act_id = l.act_id and t.sku = l.sku
where l.quantity is distinct from t.moved or t.times is distinct from 1
