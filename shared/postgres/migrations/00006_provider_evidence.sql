-- What the providers say of themselves, by their webhooks: evidence of what became
-- of a mail and of a payment. A webhook comes late, twice, in any order or never,
-- so these rows decide nothing. No personal data: neither an address nor a text
-- that may repeat one.

-- +goose NO TRANSACTION
-- +goose Up

-- SendGrid's events about the mails of an order. The id is SendGrid's own for the
-- event, so that one that is told twice, or replayed, is one row.
create table if not exists mail_events (
    sg_event_id text primary key,
    order_id    uuid not null references orders,
    change      text not null check (change in ('order-placed', 'order-shipped', 'order-cancelled')),
    kind        text not null
        check (kind in ('processed', 'deferred', 'delivered', 'bounce', 'blocked', 'dropped', 'spamreport')),
    message_id  text not null check (message_id <> ''), -- what the sender got as X-Message-Id
    reason      text not null default '',
    at          timestamptz not null,                   -- by SendGrid's clock
    recorded_at timestamptz not null
);

create index if not exists mail_events_of on mail_events (order_id, change);

-- Stripe's events about the payment of an order.
create table if not exists payment_events (
    event_id    text primary key,
    order_id    uuid not null references orders,
    type        text not null check (type <> ''),
    provider_id text not null,                          -- the payment's id, as in payments
    status      text not null default '',
    reason      text not null default '',
    amount      bigint not null default 0 check (amount >= 0),
    currency    text not null default '',
    at          timestamptz not null,                   -- by Stripe's clock
    recorded_at timestamptz not null
);

create index if not exists payment_events_of on payment_events (order_id);

-- Since when nobody knows whether SendGrid took the mail: the next attempt waits
-- for evidence for a while. Null where every attempt was answered, and of attempts
-- of an earlier version.
alter table notifications add column if not exists uncertain_at timestamptz;

-- A mail may be on record as sent by SendGrid's answer, or by the evidence.
alter table notifications add column if not exists by_evidence boolean not null default false;

-- +goose Down

alter table notifications drop column by_evidence;
alter table notifications drop column uncertain_at;
drop table payment_events, mail_events;
