-- What the payment provider was asked for, when, by whom, and what came of it.

-- +goose Up

-- One row for each time that a function asks the provider to move money, written
-- before the request is sent: one without an outcome is under way, or whoever made it
-- died, or nothing followed from its answer. The outcome is the payment's state by the provider's answer, or that it has
-- refused, or that nobody knows. By function and event it is told whose doing it was.
--
-- No foreign key to orders: it would have each request lock the row that the order's
-- deliveries wait for each other at. An invariant holds that the order is there. All
-- that is looked for is found by the order, so there is one index, and as the outcome
-- is in none, it is written beside its row. No personal data: neither what the customer
-- pays with, which is in the request's hash, nor a text of the provider's.
create table if not exists payment_attempts (
    id           bigint generated always as identity,
    order_id     uuid not null,
    step         text not null check (step in ('authorise', 'capture', 'release', 'refund')),
    key          text not null check (key <> ''),                          -- the idempotency key
    request_hash bytea not null check (octet_length(request_hash) = 32),   -- SHA-256 of all that was asked for
    amount       bigint not null check (amount > 0),
    currency     text not null check (currency ~ '^[A-Z]{3}$'),
    source       text not null,
    cause        text not null,
    started_at   timestamptz not null,
    ended_at     timestamptz,
    outcome      text check (outcome in ('authorised', 'captured', 'voided', 'refunded', 'declined', 'none', 'refused', 'unknown')),
    asked        boolean not null default false, -- how the payment stands was the answer, and nothing was to be moved
    provider_id  text,
    failure      text check (failure in
        ('timeout', 'connection', 'stopped', 'unreadable', 'refused', 'conflict', 'not_found', 'unknown_method')),
    primary key (order_id, id),
    constraint attempts_end_with_an_outcome check ((ended_at is null) = (outcome is null)),
    constraint failures_are_named check (coalesce(outcome in ('refused', 'unknown'), false) = (failure is not null)),
    constraint known_by_asking check (not asked or coalesce(outcome not in ('refused', 'unknown'), false))
) with (fillfactor = 60);

-- What was asked for stays as it was, and so does an outcome once there is one.
create or replace trigger kept_for_good before delete or truncate on payment_attempts execute function kept_for_good();
create or replace trigger outcome_is_final before update on payment_attempts for each row
    when (old.outcome is not null
        or (old.id, old.order_id, old.step, old.key, old.request_hash, old.amount, old.currency, old.source, old.cause, old.started_at)
        is distinct from (new.id, new.order_id, new.step, new.key, new.request_hash, new.amount, new.currency, new.source, new.cause, new.started_at))
    execute function kept_for_good();

-- +goose Down

drop table payment_attempts;
