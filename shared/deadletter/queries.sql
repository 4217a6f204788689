-- What people ask about dead letters, and do about them. sqlc makes internal/store from it.

-- name: ListLetters :many
-- A page of letters in the order of their ids. The function that refused one is in
-- the address that it was sent to, as the host's first label on a cluster.
select l.id, l.event_id, l.event_source, l.event_type, l.subject, l.error_dest, l.error_code, l.error_data, l.event,
       l.state, l.times, l.first_at, l.last_at
from dead_letters l
where l.id > @after_id and l.id <= @up_to
  and (cardinality(@ids::bigint[]) = 0 or l.id = any (@ids))
  and (@state::text = '' or l.state = @state)
  and (@function::text = '' or l.error_dest = @function or rtrim(l.error_dest, '/') = @address::text
       or split_part(split_part(l.error_dest, '://', 2), '.', 1) = @function)
  and (@code::text = '' or l.error_code = @code)
  and (@error::text = '' or strpos(lower(l.error_data), lower(@error)) > 0)
  and (@type::text = '' or l.event_type = @type)
  and l.last_at >= @since and l.last_at < @until
  and (@order_id::text = '' or l.subject = @order_id or split_part(l.event_id, '/', 1) = @order_id)
order by l.id
limit @page;

-- name: LastID :one
select coalesce(max(id), 0)::bigint from dead_letters;

-- name: FindOrder :one
select id from orders where number = @number;

-- name: ListKnown :many
select id from dead_letters where id = any (@ids::bigint[]);

-- name: ListHistories :many
-- What the orders' histories say of events, and who has handled them.
with wanted as (
    select distinct unnest(@orders::uuid[]) as id, unnest(@names::text[]) as name
)
select o.id, w.name::text as name, o.number, coalesce(e.type, '')::text as type, e.data,
       coalesce((select array_agg(h.source order by h.position) from order_events h
                 where h.order_id = o.id and h.cause = w.name), '{}')::text[] as handled
from wanted w
join orders o on o.id = w.id
left join order_events e on e.order_id = o.id and e.name = w.name and e.type is not null;

-- name: ListActs :many
select id, action, actor, reason, data, times, began_at, ended_at, coalesce(outcome, '')::text as outcome,
       coalesce(error, '')::text as error
from dead_letter_acts
where letter_id = @letter_id
order by id;

-- name: LockLetters :many
-- In the order of their ids, as everybody who locks more than one.
select id, state, times, coalesce(redriving_until > now(), false)::boolean as taken
from dead_letters
where id = any (@ids::bigint[])
order by id
for no key update;

-- name: Claim :many
-- Before anything is sent: whoever dies has left word of it.
with chosen as (
    select unnest(@ids::bigint[]) as id, unnest(@datas::bytea[]) as data
), taken as (
    update dead_letters l set redriving_until = now() + make_interval(secs => @lease_seconds)
    from chosen c where l.id = c.id
    returning l.id, l.state, l.times, c.data
)
insert into dead_letter_acts (letter_id, action, actor, reason, data, was, times, began_at)
select id, 'redrive', @actor, @reason, data, state, times, now() from taken
returning id, letter_id;

-- name: Record :exec
-- After it was sent. A letter that has come again meanwhile has failed once more
-- and stays open; one that somebody has discarded meanwhile stays discarded.
with told as (
    select unnest(@acts::bigint[]) as id, unnest(@outcomes::text[]) as outcome, unnest(@errors::text[]) as error
), ended as (
    update dead_letter_acts a set ended_at = now(), outcome = t.outcome, error = nullif(t.error, '')
    from told t where a.id = t.id and a.ended_at is null
    returning a.letter_id, a.outcome, a.was, a.times
)
update dead_letters l
set redriving_until = null,
    state = case when e.outcome = 'sent' and l.state = e.was and l.times = e.times then 'redriven' else l.state end
from ended e
where l.id = e.letter_id;

-- name: Discard :exec
with gone as (
    select l.id, l.state, l.times from dead_letters l where l.id = any (@ids::bigint[])
), discarded as (
    update dead_letters l set state = 'discarded' from gone where l.id = gone.id
)
insert into dead_letter_acts (letter_id, action, actor, reason, was, times, began_at, ended_at, outcome)
select id, 'discard', @actor, @reason, state, times, now(), now(), 'discarded' from gone;
