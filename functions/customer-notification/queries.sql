-- name: Claim :one
-- Takes the right to send one mail, or returns no row where it is not to be
-- had: the mail is done with, or somebody else is sending it. A claim ends with
-- the error that its attempt met or, where whoever held it died, after the
-- lease. clock_timestamp, not now: the statement may have waited for another.
insert into notifications (order_id, change, state, claimed_at)
values (@order_id, @change, 'sending', clock_timestamp())
on conflict (order_id, change) do update
set attempts = notifications.attempts + 1, claimed_at = clock_timestamp(), last_error = null
where notifications.state = 'sending'
  and (notifications.last_error is not null
       or notifications.claimed_at < clock_timestamp() - make_interval(secs => @lease_seconds::float8))
returning attempts;

-- name: FindState :one
select state from notifications where order_id = @order_id and change = @change;

-- name: MarkSent :exec
-- Whoever's claim it is by now: the mail has been sent, that is what counts.
update notifications
set state = 'sent', message_id = @message_id::text, sent_at = clock_timestamp(), last_error = null
where order_id = @order_id and change = @change and state = 'sending';

-- name: MarkRefused :exec
update notifications set state = 'refused', last_error = @reason::text
where order_id = @order_id and change = @change and state = 'sending' and attempts = @attempts;

-- name: Release :exec
-- Only one's own claim: another may have begun after the lease.
update notifications set last_error = @reason::text
where order_id = @order_id and change = @change and state = 'sending' and attempts = @attempts;

-- name: FindOrder :one
-- A contact that was erased leaves an order without an address.
select o.number, o.total_amount, o.currency, (c.order_id is not null)::boolean as has_contact,
       coalesce(c.name, '')::text as name, coalesce(c.email, '')::text as email,
       coalesce(c.line1, '')::text as line1, coalesce(c.line2, '')::text as line2, coalesce(c.city, '')::text as city,
       coalesce(c.postal_code, '')::text as postal_code, coalesce(c.country, '')::text as country
from orders o
left join order_contacts c on c.order_id = o.id
where o.id = @order_id;

-- name: ListLines :many
select sku, name, quantity, price_amount from order_lines where order_id = @order_id order by line;
