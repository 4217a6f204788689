-- Money of an order moves by an attempt on record that was answered so, from the order's first attempt on: an earlier version kept no record of attempts.
select t.order_id, t.kind, t.cause, t.at
from money_transfers t
where (t.cause in ('order-placed', 'inventory-updated', 'order-cancelled') or t.cause like 'order-returned/%')
  and t.at >= (select min(a.started_at) from payment_attempts a where a.order_id = t.order_id)
  and not exists (
    select from payment_attempts a
    where a.order_id = t.order_id
      and case t.kind when 'authorise' then a.outcome not in ('none', 'refused', 'unknown')
                      when 'capture' then a.outcome in ('captured', 'refunded')
                      when 'void' then a.outcome in ('voided', 'declined')
                      when 'refund' then a.outcome = 'refunded' and a.step <> 'refund'
                          or a.outcome in ('captured', 'refunded') and a.step = 'refund' and a.cause = t.cause end)
