-- What backoffice asks of Postgres. sqlc makes internal/store from it.

-- name: Now :one
select now()::timestamptz as now;

-- name: SumFigures :many
-- From the roll-up only: it has a few rows per minute and figure, however many
-- orders there are.
select date_trunc(@unit::text, minute, 'UTC')::timestamptz as start, metric, dimension, sum(value)::bigint as value
from analytics_minutes
where minute >= @from_minute and minute < @to_minute
group by 1, 2, 3
order by 1, 2, 3;
