-- What is held, kept and given back of each payment is what the order's journal of money comes to, in the payment's currency alone.
with moved as (
    select order_id, currency, credit as account, amount, kind = 'refund' as refund from money_transfers
    union all
    select order_id, currency, debit, -amount, false from money_transfers
), balance as (
    select order_id, currency, coalesce(sum(amount) filter (where account = 'held'), 0)::bigint as held,
           coalesce(sum(amount) filter (where account = 'captured'), 0)::bigint as kept, coalesce(sum(amount) filter (where refund), 0)::bigint as refunded
    from moved
    group by order_id, currency
)
select coalesce(p.order_id, b.order_id) as order_id, p.state, p.amount, p.refunded_amount,
       b.currency, b.held as held_by_journal, b.kept as kept_by_journal, b.refunded as refunded_by_journal
from payments p full join balance b on b.order_id = p.order_id and b.currency = p.currency
where coalesce(b.held, 0) <> case p.state when 'authorised' then p.amount else 0 end
   or coalesce(b.kept, 0) <> case p.state when 'captured' then p.amount - p.refunded_amount else 0 end
   or (coalesce(b.refunded, 0) <> coalesce(p.refunded_amount, 0)
       and not exists (select from money_transfers t where t.order_id = b.order_id and t.kind = 'correction'))
