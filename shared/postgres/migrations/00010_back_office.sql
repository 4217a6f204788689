-- What operators need: their audit trail, the audits of the shop, figures by hour and
-- day, and indexes by which orders, mails and dead letters are found among millions.

-- +goose NO TRANSACTION
-- +goose Up

-- Who wanted what, when, why and from where: written before it is done, so that there
-- is no deed without its entry. Subject is who the actor is to those who let him in.
create table if not exists operator_acts (
    id      bigint generated always as identity primary key,
    actor   text not null check (actor <> ''),
    subject text not null check (subject <> ''),
    role    text not null check (role in ('viewer', 'operator', 'admin')),
    action  text not null check (action <> ''),
    target  text not null default '',
    reason  text not null default '',
    details jsonb not null default '{}',
    origin  text not null default '',
    at      timestamptz not null default now()
);

create index if not exists operator_acts_on on operator_acts (target, id) where target <> '';

-- What became of it. An act without an outcome isn't over, or whoever did it died.
create table if not exists operator_act_outcomes (
    act_id  bigint primary key references operator_acts,
    outcome text not null check (outcome in ('done', 'refused', 'failed')),
    note    text not null default '',
    at      timestamptz not null default now()
);

create or replace trigger kept_for_good before update or delete or truncate on operator_acts execute function kept_for_good();
create or replace trigger kept_for_good before update or delete or truncate on operator_act_outcomes execute function kept_for_good();

-- Each time that somebody has proven the shop right, or not.
create table if not exists audits (
    id         bigint generated always as identity primary key,
    began_at   timestamptz not null,
    ended_at   timestamptz not null,
    moving     boolean not null,                -- while orders were on their way
    orders     bigint not null check (orders >= 0),
    violations int not null check (violations >= 0)
);

create table if not exists audit_checks (
    audit_id   bigint not null references audits,
    name       text not null,
    says       text not null,
    violations int not null check (violations >= 0),
    examples   text[] not null default '{}',
    primary key (audit_id, name)
);

create index if not exists audit_checks_of on audit_checks (name, audit_id);

-- The counts of analytics_minutes by hour and by day. A trigger keeps them, in the
-- transaction that counts, so that they are as exact as the minutes under replays.
create table if not exists analytics_rollups (
    unit      text not null check (unit in ('hour', 'day')),
    start     timestamptz not null,
    metric    text not null,
    dimension text not null default '',
    shard     smallint not null,
    value     bigint not null,
    primary key (unit, start, metric, dimension, shard)
) with (fillfactor = 50);

-- Row by row, in the order in which the minutes are counted, which is that of their
-- keys: two deliveries wait for each other and never in a circle.
-- +goose StatementBegin
create or replace function roll_up_counts() returns trigger language plpgsql as $$
begin
    insert into analytics_rollups as r (unit, start, metric, dimension, shard, value)
    select u.unit, date_trunc(u.unit, c.minute, 'UTC'), c.metric, c.dimension, c.shard, sum(c.value)
    from (values (old.minute, old.metric, old.dimension, old.shard, -old.value),
                 (new.minute, new.metric, new.dimension, new.shard, new.value)) as c (minute, metric, dimension, shard, value)
    cross join (values ('hour'), ('day')) as u (unit)
    where c.minute is not null
    group by 1, 2, 3, 4, 5
    order by 3, 4, 5, 1 desc, 2
    on conflict (unit, start, metric, dimension, shard) do update set value = r.value + excluded.value;
    return null;
end $$;
-- +goose StatementEnd

-- What was counted before, and the trigger for what comes, in one transaction that
-- keeps out who counts meanwhile: they are late by the seconds that this takes, and an
-- order waits for none of them.
-- +goose StatementBegin
do $$
begin
    lock table analytics_minutes in share row exclusive mode;
    if not exists (select from pg_trigger where tgname = 'roll_up_counts' and tgrelid = 'analytics_minutes'::regclass) then
        insert into analytics_rollups (unit, start, metric, dimension, shard, value)
        select u.unit, date_trunc(u.unit, m.minute, 'UTC'), m.metric, m.dimension, m.shard, sum(m.value)
        from analytics_minutes m cross join (values ('hour'), ('day')) as u (unit)
        group by 1, 2, 3, 4, 5;
        create trigger roll_up_counts after insert or update or delete on analytics_minutes
            for each row execute function roll_up_counts();
        create trigger not_truncated before truncate on analytics_minutes execute function kept_for_good();
    end if;
end $$;
-- +goose StatementEnd

-- None of these has a column that an order's way through the shop changes, so that its
-- moves stay heap-only. By id is by time of placing, everywhere.
drop index concurrently if exists order_contacts_by_email;
create index concurrently order_contacts_by_email on order_contacts (lower(email), order_id);
drop index concurrently if exists order_lines_by_article;
create index concurrently order_lines_by_article on order_lines (sku, order_id);
drop index concurrently if exists order_events_by_reason;
create index concurrently order_events_by_reason on order_events ((data ->> 'reason'), order_id) where name = 'order-cancelled';
drop index concurrently if exists notifications_not_sent;
create index concurrently notifications_not_sent on notifications (order_id) where state <> 'sent';
drop index concurrently if exists dead_letters_by_subject;
create index concurrently dead_letters_by_subject on dead_letters (subject);
drop index concurrently if exists dead_letters_by_event;
create index concurrently dead_letters_by_event on dead_letters (split_part(event_id, '/', 1));

-- +goose Down

drop index concurrently dead_letters_by_event;
drop index concurrently dead_letters_by_subject;
drop index concurrently notifications_not_sent;
drop index concurrently order_events_by_reason;
drop index concurrently order_lines_by_article;
drop index concurrently order_contacts_by_email;
drop trigger not_truncated on analytics_minutes;
drop trigger roll_up_counts on analytics_minutes;
drop function roll_up_counts;
drop table analytics_rollups, audit_checks, audits, operator_act_outcomes, operator_acts;
