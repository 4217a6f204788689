-- What backoffice asks of Postgres. sqlc makes internal/store from it.
--
-- Lists go by key, so that the thousandth page costs what the first one does, and
-- figures come from roll-ups: however many orders there are.

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

-- name: SumRollups :many
-- The same of hours or days that are summed up already, in any order.
select start, metric, dimension, sum(value)::bigint as value
from analytics_rollups
where unit = @unit and start >= @from_start and start < @to_start
group by 1, 2, 3;

-- name: CountFlow :many
-- Where the orders on their way stand. Those that are settled are in no need of being
-- looked at, however many there are.
select status, count(*) as orders, min(updated_at)::timestamptz as oldest,
       count(*) filter (where updated_at < now() - interval '10 minutes') as stuck
from orders
where settled_at is null and status not in ('shipped', 'cancelled')
group by status;

-- name: StageTimes :many
-- How long the last orders that were shipped took from each step to the next, in seconds.
with latest as (
    select order_id from shipments order by order_id desc limit @orders::int
)
select e.name,
       coalesce(percentile_cont(0.5) within group (order by extract(epoch from e.occurred_at - c.occurred_at)), 0)::float8 as median,
       coalesce(percentile_cont(0.95) within group (order by extract(epoch from e.occurred_at - c.occurred_at)), 0)::float8 as slow,
       count(*) as orders
from latest l
join order_events e on e.order_id = l.order_id and e.name = any (array['payment-verified', 'inventory-updated', 'order-shipped'])
join order_events c on c.order_id = l.order_id and c.name = e.cause
group by e.name;

-- name: CountOpenLetters :one
select count(*) from dead_letters where state = 'open';

-- name: CountMailsNotSent :one
-- Counted to a bound: more than that is an outage, whatever the number.
select count(*) from (select from notifications where state <> 'sent' limit 10000) as unsent;

-- name: CountLowStock :one
select count(*) from stock where on_hand - reserved <= @low::bigint;

-- name: LastCleanAudit :many
select id, ended_at from audits where violations = 0 order by id desc limit 1;

-- name: ListAudits :many
select id, began_at, ended_at, moving, orders, violations
from audits
where id < @before
order by id desc
limit @page;

-- name: LastChecks :many
-- The last run of each check, by its name.
select names.name::text as name, last.says, last.violations, last.examples, last.ended_at
from unnest(@names::text[]) as names (name)
cross join lateral (
    select c.says, c.violations, c.examples, a.ended_at
    from audit_checks c join audits a on a.id = c.audit_id
    where c.name = names.name
    order by c.audit_id desc
    limit 1
) as last;

-- name: OtherChecks :many
-- What the last audit has compared with the world, which is in no query.
select c.name, c.says, c.violations, c.examples, a.ended_at
from audit_checks c join audits a on a.id = c.audit_id
where c.audit_id = (select max(id) from audits) and not c.name = any (@names::text[])
order by c.name;

-- name: FindByNumber :many
select id from orders where number = @number;

-- The next five list candidates, the last placed first: enough to fill a page with
-- those that fit, and few enough to be looked at at once.

-- name: RecentOrders :many
select id from orders where id < @before and id >= @from_id order by id desc limit @page;

-- name: OrdersOnTheirWay :many
select id from orders
where settled_at is null and status = @status and id < @before and id >= @from_id
order by id desc
limit @page;

-- name: OrdersShipped :many
select order_id from shipments where order_id < @before and order_id >= @from_id order by order_id desc limit @page;

-- name: OrdersCancelled :many
select found.order_id
from unnest(@reasons::text[]) as r (reason)
cross join lateral (
    select e.order_id from order_events e
    where e.name = 'order-cancelled' and e.data ->> 'reason' = r.reason and e.order_id < @before and e.order_id >= @from_id
    order by e.order_id desc
    limit @page
) as found
order by found.order_id desc
limit @page;

-- name: OrdersOfArticle :many
select order_id from order_lines
where sku = @sku and order_id < @before and order_id >= @from_id
order by order_id desc
limit @page;

-- name: OrdersOfCustomer :many
select order_id from order_contacts
where lower(email) = lower(@email) and order_id < @before and order_id >= @from_id
order by order_id desc
limit @page;

-- name: ListOrders :many
-- Those of the candidates that fit all that is asked for.
select o.id, o.number, o.status, coalesce(o.cancel_reason, '')::text as reason, o.total_amount, o.currency, o.placed_at, o.updated_at,
       (o.settled_at is null and o.status not in ('shipped', 'cancelled') and o.updated_at < now() - interval '10 minutes')::boolean as stuck
from orders o
where o.id = any (@ids::uuid[])
  and (@status::text = '' or o.status = @status)
  and (@reason::text = '' or o.cancel_reason = @reason)
  and o.placed_at >= @since and o.placed_at < @until
  and (@sku::text = '' or exists (select from order_lines l where l.order_id = o.id and l.sku = @sku))
  and (@email::text = '' or exists (select from order_contacts c where c.order_id = o.id and lower(c.email) = lower(@email)))
order by o.id desc
limit @page;

-- name: FindContact :many
select name, email, line1, line2, city, postal_code, country from order_contacts where order_id = @order_id;

-- name: ListStock :many
select s.sku, p.name, s.on_hand, s.reserved, s.received, s.adjusted, s.shipped, s.opening
from stock s
join products p using (sku)
where s.sku > @after and (not @low_only::boolean or s.on_hand - s.reserved <= @low::bigint)
order by s.sku
limit @page;

-- name: GroupLetters :many
-- The open ones, by who refused what, and how.
select error_dest, error_code, event_type, count(*) as letters, sum(times)::bigint as times, min(first_at)::timestamptz as first_at,
       max(last_at)::timestamptz as last_at, (array_agg(left(error_data, 200) order by last_at desc))[1]::text as example
from dead_letters
where state = 'open'
group by 1, 2, 3
order by 4 desc, 1, 2, 3
limit 50;

-- name: ListMails :many
-- The page first, and then its orders: else Postgres might walk along all orders.
select n.order_id, n.change, o.number, n.state, n.attempts, n.uncertain, n.by_evidence, n.claimed_at, n.sent_at,
       coalesce(n.message_id, '')::text as message_id, coalesce(n.refused_for, '')::text as refused_for,
       coalesce((select string_agg(kinds.kind, ', ' order by kinds.at) from (
           select e.kind, min(e.at) as at from mail_events e where e.order_id = n.order_id and e.change = n.change group by e.kind
       ) as kinds), '')::text as evidence
from (
    select * from notifications m where (m.order_id, m.change) < (@before, @before_change::text)
    order by m.order_id desc, m.change desc
    limit @page
) as n
join orders o on o.id = n.order_id
order by n.order_id desc, n.change desc;

-- name: ListMailsNotSent :many
-- By the index of those that weren't sent, which knows no others.
select n.order_id, n.change, o.number, n.state, n.attempts, n.uncertain, n.by_evidence, n.claimed_at, n.sent_at,
       coalesce(n.message_id, '')::text as message_id, coalesce(n.refused_for, '')::text as refused_for,
       coalesce((select string_agg(kinds.kind, ', ' order by kinds.at) from (
           select e.kind, min(e.at) as at from mail_events e where e.order_id = n.order_id and e.change = n.change group by e.kind
       ) as kinds), '')::text as evidence
from (
    select * from notifications m where m.state <> 'sent' and (m.order_id, m.change) < (@before, @before_change::text)
    order by m.order_id desc, m.change desc
    limit @page
) as n
join orders o on o.id = n.order_id
order by n.order_id desc, n.change desc;

-- name: InsertAct :one
insert into operator_acts (actor, subject, role, action, target, reason, details, origin)
values (@actor, @subject, @role, @action, @target, @reason, @details, @origin)
returning id;

-- name: InsertOutcome :exec
insert into operator_act_outcomes (act_id, outcome, note) values (@act_id, @outcome, @note);

-- name: ListActs :many
select a.id, a.at, a.actor, a.role, a.action, a.target, a.reason, a.details, a.origin,
       coalesce(o.outcome, '')::text as outcome, coalesce(o.note, '')::text as note
from operator_acts a
left join operator_act_outcomes o on o.act_id = a.id
where a.id < @before
order by a.id desc
limit @page;

-- name: ListActsOn :many
select a.id, a.at, a.actor, a.role, a.action, a.target, a.reason, a.details, a.origin,
       coalesce(o.outcome, '')::text as outcome, coalesce(o.note, '')::text as note
from operator_acts a
left join operator_act_outcomes o on o.act_id = a.id
where a.target = @target
order by a.id desc
limit 50;
