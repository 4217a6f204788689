-- The whole of an order's life. Constraints do the guarding: what must never
-- be true can't be stored.

-- +goose Up

create table products (
    sku          text primary key check (sku ~ '^[A-Z0-9][A-Z0-9-]{1,31}$'),
    name         text not null,
    description  text not null,
    category     text not null,
    price_amount bigint not null check (price_amount > 0),
    currency     text not null check (currency ~ '^[A-Z]{3}$'),
    position     int not null default 0,
    active       boolean not null default true
);

create table stock (
    sku      text primary key references products,
    opening  bigint not null check (opening >= 0),
    received bigint not null default 0 check (received >= 0),
    on_hand  bigint not null check (on_hand >= 0),
    reserved bigint not null default 0 check (reserved >= 0),
    shipped  bigint not null default 0 check (shipped >= 0),
    constraint reserved_is_on_hand check (reserved <= on_hand),
    constraint nothing_vanishes check (opening + received = on_hand + shipped)
) with (fillfactor = 50);

create table orders (
    id               uuid primary key,
    number           text not null unique,
    status           text not null
        constraint status_is_known check (status in ('placed', 'payment_verified', 'inventory_updated', 'shipped', 'cancelled')),
    cancel_reason    text
        constraint reason_is_known check (cancel_reason in ('payment_declined', 'payment_expired', 'out_of_stock', 'customer_request')),
    total_amount     bigint not null check (total_amount > 0),
    currency         text not null check (currency ~ '^[A-Z]{3}$'),
    payment_method   text not null,
    placed_at        timestamptz not null,
    updated_at       timestamptz not null,
    resends          int not null default 0,
    resend_after     timestamptz,
    constraint cancelled_for_a_reason check ((status = 'cancelled') = (cancel_reason is not null))
) with (fillfactor = 70);

create index orders_unfinished on orders (updated_at) where status not in ('shipped', 'cancelled');

-- The only place with personal data, so that it can be erased without touching
-- the order's history.
create table order_contacts (
    order_id    uuid primary key references orders,
    name        text not null,
    email       text not null,
    line1       text not null,
    line2       text not null default '',
    city        text not null,
    postal_code text not null,
    country     text not null check (country ~ '^[A-Z]{2}$')
);

create table order_lines (
    order_id     uuid not null references orders,
    line         int not null check (line > 0),
    sku          text not null references products,
    name         text not null,
    quantity     int not null check (quantity > 0),
    price_amount bigint not null check (price_amount > 0),
    primary key (order_id, line),
    unique (order_id, sku)
);

-- Inbox, outbox and timeline at once. A row says that a function (source) has
-- handled the event called cause; where something happened because of it, the
-- row is that event. A row without a type tells of nothing new: it only keeps
-- the delivery from being handled twice.
create table order_events (
    order_id     uuid not null references orders,
    name         text not null,               -- what happened; the event's id is order_id/name
    source       text not null,               -- the function
    cause        text,                        -- name of the event that led here; null for what a person did
    type         text,
    data         jsonb,
    traceparent  text not null default '',
    occurred_at  timestamptz not null,
    published_at timestamptz,
    position     bigint generated always as identity,
    primary key (order_id, name),
    constraint handled_once unique (order_id, source, cause),
    constraint event_has_data check ((type is null) = (data is null)),
    constraint silence_is_not_published check (type is not null or published_at is null)
) with (fillfactor = 80);

create table payments (
    order_id      uuid primary key references orders,
    provider_id   text not null unique,
    state         text not null check (state in ('authorised', 'captured', 'voided', 'refunded', 'declined')),
    amount        bigint not null check (amount > 0),
    currency      text not null check (currency ~ '^[A-Z]{3}$'),
    decline_code  text,
    authorised_at timestamptz,
    captured_at   timestamptz,
    closed_at     timestamptz,               -- voided, refunded or declined
    constraint declined_for_a_reason check ((state = 'declined') = (decline_code is not null))
);

create table reservations (
    order_id uuid not null references orders,
    sku      text not null references stock,
    quantity int not null check (quantity > 0),
    state    text not null check (state in ('held', 'shipped', 'released')),
    primary key (order_id, sku)
);

create table shipments (
    order_id        uuid primary key references orders,
    carrier         text not null,
    tracking_number text not null unique,
    label_key       text not null unique,
    label_sha256    bytea not null,
    prepared_at     timestamptz not null
);

-- One mail per order and change. The claim is what lets one delivery send
-- while its duplicates wait.
create table notifications (
    order_id     uuid not null references orders,
    change       text not null check (change in ('order-placed', 'order-shipped', 'order-cancelled')),
    state        text not null check (state in ('sending', 'sent', 'refused')),
    attempts     int not null default 1,
    claimed_at   timestamptz not null,
    message_id   text,
    last_error   text,
    sent_at      timestamptz,
    primary key (order_id, change),
    constraint sent_has_evidence check ((state = 'sent') = (message_id is not null and sent_at is not null))
);

-- Counts per minute of when things happened, not of when they were counted, so
-- that a replay changes nothing. Spread over shards, so that deliveries in the
-- same minute don't queue for one row; readers sum.
create table analytics_minutes (
    minute    timestamptz not null,
    metric    text not null check (metric in
        ('orders_placed', 'orders_shipped', 'orders_cancelled', 'items_sold', 'revenue')),
    dimension text not null default '',      -- reason, SKU or currency
    shard     smallint not null,
    value     bigint not null,
    primary key (minute, metric, dimension, shard)
) with (fillfactor = 50);

create table dead_letters (
    id           bigint generated always as identity primary key,
    event_id     text not null,
    event_source text not null,
    event_type   text not null,
    subject      text not null default '',
    error_dest   text not null default '',
    error_code   text not null default '',
    error_data   text not null default '',
    event        bytea not null,             -- structured CloudEvent as it came
    state        text not null default 'open' check (state in ('open', 'redriven', 'discarded')),
    times        int not null default 1,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    -- Partition and offset of each time: the topic read again is no new failure.
    positions    text[] not null default '{}',
    unique (event_source, event_id, error_dest)
);

create index dead_letters_open on dead_letters (last_at) where state = 'open';

-- Kept as long as their orders: a key never comes to mean another order.
create table idempotency_keys (
    key_hash     bytea primary key,
    request_hash bytea not null,
    order_id     uuid not null references orders,
    created_at   timestamptz not null
);

-- +goose Down

drop table idempotency_keys, dead_letters, analytics_minutes, notifications, shipments, reservations, payments,
    order_events, order_lines, order_contacts, orders, stock, products;
