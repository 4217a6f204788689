-- at rest: What nobody knew of an attempt at moving money was found out: by another attempt at the same step, or by the release of the order's payment.
select a.order_id, a.step, a.key, a.started_at, a.outcome, a.failure
from payment_attempts a
where (a.outcome is null or a.outcome = 'unknown')
  and not exists (
    select from payment_attempts s
    where s.order_id = a.order_id and s.outcome <> 'unknown' and (s.key = a.key or s.step = 'release'))
