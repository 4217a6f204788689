-- What order-recovery asks of Postgres. sqlc makes internal/store from it.

-- name: LockDue :many
-- Orders that aren't settled, that nothing has happened to for a while and
-- whose next attempt is due, oldest first. What another sweep or a stage holds
-- is being taken care of.
select id, status, resends, now()::timestamptz as looked_at
from orders
where settled_at is null
  and status = any (@statuses::text[])
  and id > @last_id
  and updated_at <= now() - make_interval(secs => @quiet_seconds)
  and (resend_after is null or resend_after <= now())
order by id
limit @batch
for no key update skip locked;

-- name: ListPending :many
-- The events of the given orders that their sink or a reader may not have got.
-- The last event of an unfinished order always counts: the order waits for it.
-- Readers are of a topic, which what happens several times has one of.
with reader as (
    select unnest(@events::text[]) as event, unnest(@readers::text[]) as name
), wanted as (
    select unnest(@ids::uuid[]) as id, unnest(@latest::text[]) as latest
)
select e.order_id, e.name, e.source, coalesce(e.cause, '')::text as cause, e.type::text as type, e.data,
       e.traceparent, e.occurred_at,
       (e.published_at is null)::boolean as unpublished,
       extract(epoch from now() - e.occurred_at)::float8 as age_seconds,
       waiting.readers::text[] as waiting
from wanted w
join order_events e on e.order_id = w.id and e.type is not null
cross join lateral (
    select coalesce(array_agg(r.name order by r.name), '{}') as readers
    from reader r
    where r.event = split_part(e.name, '/', 1)
      and not exists (select from order_events h where h.order_id = e.order_id and h.source = r.name and h.cause = e.name)
) waiting
where e.published_at is null or waiting.readers <> '{}' or e.name = w.latest
order by e.order_id, e.position;

-- name: Settle :exec
update orders set settled_at = now(), resend_after = null where id = any (@ids::uuid[]);

-- name: Schedule :exec
update orders o
set resends = c.resends, resend_after = c.after
from (select unnest(@ids::uuid[]) as id, unnest(@resends::int[]) as resends, unnest(@afters::timestamptz[]) as after) as c
where o.id = c.id;

-- name: GiveBack :exec
-- Only where resend_after is still what this sweep has made it: an order that
-- moved meanwhile counts from zero already, and what another sweep has noted is
-- about a later attempt.
update orders o
set resends = c.resends, resend_after = now() + make_interval(secs => c.seconds)
from (select unnest(@ids::uuid[]) as id, unnest(@resends::int[]) as resends, unnest(@afters::timestamptz[]) as after,
             unnest(@seconds::float8[]) as seconds) as c
where o.id = c.id and o.resend_after = c.after;

-- name: AddDeadLetters :exec
insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_data, event, first_at, last_at)
select l.event_id, l.event_source, l.event_type, l.subject, l.error_dest, l.error_data, l.event, now(), now()
from (select unnest(@event_ids::text[]) as event_id, unnest(@event_sources::text[]) as event_source,
             unnest(@event_types::text[]) as event_type, unnest(@subjects::text[]) as subject,
             unnest(@error_dests::text[]) as error_dest, unnest(@error_datas::text[]) as error_data,
             unnest(@events::bytea[]) as event) as l
on conflict (event_source, event_id, error_dest) do update
set times = dead_letters.times + 1, last_at = now(), error_data = excluded.error_data,
    state = case dead_letters.state when 'redriven' then 'open' else dead_letters.state end;
