-- A journal is corrected by somebody who has said why, then or in a repair that came of it: what was changed by hand without a word is found here.
select c.subject, c.kind, c.what, c.debit, c.credit, c.actor, c.at
from (
    select 'order ' || order_id as subject, kind, amount || ' ' || currency as what, debit, credit, actor, reason, at from money_transfers
    union all
    select coalesce('order ' || order_id, 'stock ' || sku), kind, quantity || ' ' || sku, debit, credit, actor, reason, at from stock_transfers
) c
where c.kind = 'correction' and c.reason is null
  and not exists (select from repairs r where r.subject = c.subject and r.at >= c.at)
