-- What order-analytics asks of Postgres. sqlc makes internal/store from it.

-- name: AddCounts :exec
-- In the order of the key, so that two deliveries that count the same things
-- wait for each other and never in a circle.
insert into analytics_minutes (minute, metric, dimension, shard, value)
select @minute, c.metric, c.dimension, @shard, c.value
from (select unnest(@metrics::text[]) as metric, unnest(@dimensions::text[]) as dimension, unnest(@amounts::bigint[]) as value) as c
order by c.metric, c.dimension
on conflict (minute, metric, dimension, shard) do update set value = analytics_minutes.value + excluded.value;
