-- at rest: No order stands still before its end.
select id, number, status, placed_at, updated_at, resends
from orders
where status not in ('shipped', 'cancelled')
