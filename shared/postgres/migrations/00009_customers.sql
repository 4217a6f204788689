-- What the shop knows of who it talks to: the language of an order's mails, the
-- catalogue in other languages, and who asks to be sent the link to an order.

-- +goose NO TRANSACTION
-- +goose Up

-- The language that its customer read when the order was placed, "de". Empty where
-- nobody said, as in orders of an earlier version: then it is the shop's own.
alter table order_contacts add column if not exists language text not null default '';
alter table order_contacts drop constraint if exists language_is_a_code;
alter table order_contacts add constraint language_is_a_code check (language ~ '^([a-z]{2})?$') not valid;
alter table order_contacts validate constraint language_is_a_code;

-- What products say in other languages than the catalogue's own. A name is a
-- name: it is the same in all of them.
create table if not exists product_texts (
    sku         text not null references products,
    language    text not null check (language ~ '^[a-z]{2}$'),
    description text not null check (description <> ''),
    primary key (sku, language)
);

-- Who asks for the link to an order, as it was asked: whether there is such an
-- order is looked up later, so that the answer can't tell. Of the address there is
-- only a hash, in lower case: these rows name nobody, and are gone within minutes.
create table if not exists order_link_requests (
    number       text not null,
    email_sha256 bytea not null check (length(email_sha256) = 32),
    language     text not null check (language ~ '^[a-z]{2}$'),
    requested_at timestamptz not null,
    primary key (number, email_sha256)
);

-- The mail with the link to an order, which somebody asked for who knows its number
-- and address. One that is due is sent until SendGrid takes it or refuses it
-- for good; asked for again, it is due again.
create table if not exists order_link_mails (
    order_id     uuid primary key references orders,
    language     text not null check (language ~ '^[a-z]{2}$'),
    state        text not null check (state in ('due', 'sent', 'refused')),
    requested_at timestamptz not null,           -- the last time
    attempts     int not null default 0,         -- ever: so many copies may have arrived
    claimed_at   timestamptz,                    -- an attempt is under way, or its function died
    message_id   text,
    sent_at      timestamptz,
    last_error   text,
    constraint sent_link_has_evidence check (state <> 'sent' or (message_id is not null and sent_at is not null))
);

create index if not exists order_link_mails_due on order_link_mails (requested_at) where state = 'due';

-- +goose Down

drop table order_link_mails, order_link_requests, product_texts;
alter table order_contacts drop column language;
