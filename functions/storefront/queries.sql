-- What the storefront asks of Postgres. sqlc makes internal/store from it.

-- name: ListProducts :many
select p.sku, p.name, p.description, p.category, p.price_amount, p.currency,
       (s.on_hand - s.reserved)::bigint as available
from products p
join stock s using (sku)
where p.active
order by p.position, p.sku;

-- name: FindProducts :many
select p.sku, p.name, p.description, p.category, p.price_amount, p.currency,
       (s.on_hand - s.reserved)::bigint as available
from products p
join stock s using (sku)
where p.active and p.sku = any (@skus::text[]);

-- name: ListProductTexts :many
select sku, description from product_texts where language = @language;

-- name: FindKey :one
select k.request_hash, k.order_id, o.number, o.total_amount, o.currency
from idempotency_keys k
join orders o on o.id = k.order_id
where k.key_hash = @key_hash;

-- name: InsertOrder :one
-- One statement, so that an order costs one round trip. The clock is Postgres's.
with placed as (
    insert into orders (id, number, status, total_amount, currency, payment_method, placed_at, updated_at)
    values (@id, @number, 'placed', @total_amount, @currency, @payment_method, now(), now())
    returning placed_at
), contact as (
    insert into order_contacts (order_id, name, email, line1, line2, city, postal_code, country, language)
    values (@id, @customer_name, @email, @line1, @line2, @city, @postal_code, @country, @language)
), lines as (
    insert into order_lines (order_id, line, sku, name, quantity, price_amount)
    select @id, unnest(@lines::int[]), unnest(@skus::text[]), unnest(@names::text[]), unnest(@quantities::int[]),
           unnest(@prices::bigint[])
)
select placed_at from placed;

-- name: ClaimKey :execrows
-- A concurrent request with the same key waits here for the first one's commit.
insert into idempotency_keys (key_hash, request_hash, order_id, created_at)
values (@key_hash, @request_hash, @order_id, now())
on conflict (key_hash) do nothing;

-- name: FindOrder :one
select o.id, o.number, o.status, coalesce(o.cancel_reason, '')::text as cancel_reason, o.total_amount, o.currency,
       o.placed_at, o.updated_at, coalesce(p.state, '')::text as payment_state,
       coalesce(s.carrier, '')::text as carrier, coalesce(s.tracking_number, '')::text as tracking_number
from orders o
left join payments p on p.order_id = o.id
left join shipments s on s.order_id = o.id
where o.id = @id;

-- name: ListLines :many
select sku, name, quantity, price_amount from order_lines where order_id = @order_id order by line;

-- name: ListTimeline :many
-- Of a return, what goes back: all else that events say is the order's own.
select position::bigint as position, name, occurred_at, coalesce((data #>> '{refund,amount}')::bigint, 0)::bigint as refund
from order_events
where order_id = @order_id and type is not null
order by position;

-- name: FindContact :one
select name, line1, line2, city, postal_code, country from order_contacts where order_id = @order_id;

-- name: LastPositions :many
-- Rows without a type count: a payment that was voided is news as well.
select order_id, max(position)::bigint as position
from order_events
where order_id = any (@order_ids::uuid[])
group by order_id;

-- name: RequestLink :exec
-- Does the same whether or not there is such an order. Asked twice before anybody
-- has looked, it is asked once.
insert into order_link_requests (number, email_sha256, language, requested_at)
values (@number, @email_sha256, @language, now())
on conflict (number, email_sha256) do update set language = excluded.language;
