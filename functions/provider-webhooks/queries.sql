-- What provider-webhooks asks of Postgres. sqlc makes internal/store from it.

-- name: RecordMailEvents :one
-- One statement for a batch. In the order of their ids, so that two batches with
-- the same events never wait for each other.
with told as (
    select distinct on (id) *
    from (select unnest(@ids::text[]) as id, unnest(@orders::uuid[]) as order_id, unnest(@changes::text[]) as change,
                 unnest(@kinds::text[]) as kind, unnest(@messages::text[]) as message_id, unnest(@reasons::text[]) as reason,
                 unnest(@times::timestamptz[]) as at) event
    order by id
), recorded as (
    insert into mail_events (sg_event_id, order_id, change, kind, message_id, reason, at, recorded_at)
    select told.id, told.order_id, told.change, told.kind, told.message_id, told.reason, told.at, clock_timestamp()
    from told
    join orders on orders.id = told.order_id
    order by told.id
    on conflict (sg_event_id) do nothing
    returning sg_event_id
)
select (select count(*) from recorded)::bigint as recorded,
       (select count(*) from told left join orders on orders.id = told.order_id where orders.id is null)::bigint as unknown;

-- name: FindOrder :one
-- By what the payment says itself, or else by whose payment it is on record.
select o.id, o.status, o.total_amount, o.currency, coalesce(p.provider_id, '')::text as provider_id
from orders o
left join payments p on p.order_id = o.id
where o.id = coalesce(sqlc.narg(order_id)::uuid, (select order_id from payments where payments.provider_id = @provider_id));

-- name: RecordPaymentEvent :exec
insert into payment_events (event_id, order_id, type, provider_id, status, reason, amount, currency, at, recorded_at)
values (@event_id, @order_id, @type, @provider_id, @status, @reason, @amount, @currency, @at, clock_timestamp())
on conflict (event_id) do nothing;
