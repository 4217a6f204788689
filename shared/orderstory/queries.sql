-- What there is on record about one order. sqlc makes internal/store from it.

-- name: FindOrder :one
-- By its id, or by its number.
select id, number, status, coalesce(cancel_reason, '')::text as cancel_reason, total_amount, currency, placed_at, resends,
       resend_after, settled_at, now()::timestamptz as now
from orders
where id = sqlc.narg(id) or number = @number::text;

-- name: ListLines :many
select sku, quantity, price_amount from order_lines where order_id = @order_id order by line;

-- name: ListEvents :many
select name, source, coalesce(cause, '')::text as cause, coalesce(type, '')::text as type, data, occurred_at, published_at
from order_events
where order_id = @order_id
order by position;

-- name: ListPayments :many
select provider_id, state, amount, currency, coalesce(decline_code, '')::text as decline_code, authorised_at, captured_at, closed_at
from payments
where order_id = @order_id;

-- name: ListMoneyTransfers :many
select kind, amount, currency, coalesce(cause, '')::text as cause, coalesce(actor, '')::text as actor, coalesce(reason, '')::text as reason, at
from money_transfers
where order_id = @order_id
order by at, id;

-- name: ListUnitTransfers :many
select sku, kind, debit, credit, quantity, coalesce(cause, '')::text as cause, coalesce(actor, '')::text as actor,
       coalesce(reason, '')::text as reason, at
from stock_transfers
where order_id = @order_id
order by at, sku, id;

-- name: ListShipments :many
select carrier, tracking_number, label_key from shipments where order_id = @order_id;

-- name: ListMails :many
select change, state, attempts, uncertain, by_evidence, claimed_at, sent_at, coalesce(message_id, '')::text as message_id,
       coalesce(last_error, '')::text as last_error, coalesce(refused_for, '')::text as refused_for
from notifications
where order_id = @order_id
order by claimed_at, change;

-- name: ListMailEvents :many
select change, kind, message_id, reason, at, recorded_at
from mail_events
where order_id = @order_id
order by recorded_at, at, sg_event_id;

-- name: ListPaymentEvents :many
select type, provider_id, status, reason, amount, currency, at, recorded_at
from payment_events
where order_id = @order_id
order by recorded_at, at, event_id;

-- name: ListDeeds :many
-- What operators did to the order.
select event, actor, reason, coalesce(reference, '')::text as reference from order_acts where order_id = @order_id;

-- name: ListLetters :many
select id, event_type, event_id, error_dest, error_code, error_data, state, times, first_at, last_at
from dead_letters
where subject = @order_id::text or split_part(event_id, '/', 1) = @order_id
order by id;

-- name: ListActs :many
select a.letter_id, a.action, a.actor, a.reason, (a.data is not null)::boolean as edited, a.began_at,
       coalesce(a.outcome, '')::text as outcome, coalesce(a.error, '')::text as error, l.event_type, l.event_id
from dead_letter_acts a
join dead_letters l on l.id = a.letter_id
where l.subject = @order_id::text or split_part(l.event_id, '/', 1) = @order_id
order by a.id;

-- name: ListAttempts :many
select step, key, amount, currency, source, cause, started_at, ended_at, coalesce(outcome, '')::text as outcome, asked,
       coalesce(failure, '')::text as failure
from payment_attempts
where order_id = @order_id
order by id;
