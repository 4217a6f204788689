-- The ledger of attempts. sqlc makes internal/store from it.

-- name: Begin :one
-- Writes down what the provider is about to be asked, and tells whether it is
-- uncertain what became of the last attempt with the same key. Where the key stands
-- for another request nothing is written, and the id is 0. Nobody waits for the disk:
-- this has to outlive the process, and the effect's commit takes it along.
with hurried as (
    select set_config('synchronous_commit', 'off', true)
), begun as (
    insert into payment_attempts (order_id, step, key, request_hash, amount, currency, source, cause, started_at)
    select @order_id::uuid, @step::text, @key::text, @request_hash::bytea, @amount::bigint, @currency::text, @source::text, @cause::text, now()
    from hurried
    where not exists (
        select from payment_attempts as other
        where other.order_id = @order_id and other.key = @key and other.request_hash <> @request_hash)
    returning id
)
select coalesce((select id from begun), 0)::bigint as id,
       coalesce((select last.outcome is null or last.outcome = 'unknown'
                 from payment_attempts as last
                 where last.order_id = @order_id and last.key = @key
                 order by last.id desc
                 limit 1), false)::boolean as uncertain;

-- name: End :execrows
-- Writes down what the provider has answered, where nothing else is on record yet.
update payment_attempts
set outcome = @outcome::text, asked = @asked, provider_id = @provider_id, ended_at = now()
where order_id = @order_id and id = @id and outcome is null;

-- name: Fail :exec
-- Writes down that no answer came, or a refusal. Nobody waits for the disk.
with hurried as (
    select set_config('synchronous_commit', 'off', true)
)
update payment_attempts
set outcome = @outcome::text, failure = @failure::text, ended_at = now()
from hurried
where order_id = @order_id and id = @id and outcome is null;
