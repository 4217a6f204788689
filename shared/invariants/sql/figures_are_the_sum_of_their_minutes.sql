-- The figures of each hour and day are the sum of its minutes.
select coalesce(r.unit, m.unit) as unit, coalesce(r.start, m.start) as start, coalesce(r.metric, m.metric) as metric,
       coalesce(r.dimension, m.dimension) as dimension, r.value as figure, m.value as minutes
from (select unit, start, metric, dimension, sum(value) as value from analytics_rollups group by 1, 2, 3, 4) r
full join (
    select u.unit, date_trunc(u.unit, c.minute, 'UTC') as start, c.metric, c.dimension, sum(c.value) as value
    from analytics_minutes c cross join (values ('hour'), ('day')) as u (unit)
    group by 1, 2, 3, 4
) m on (m.unit, m.start, m.metric, m.dimension) = (r.unit, r.start, r.metric, r.dimension)
where coalesce(r.value, 0) <> coalesce(m.value, 0)
