-- name: Due :one
-- What an order owes, and what its customer pays with.
select total_amount, currency, payment_method
from orders
where id = $1;

-- name: RecordPayment :execrows
-- Leaves an order's payment alone where it is on record.
insert into payments (order_id, provider_id, state, amount, currency, decline_code, authorised_at, captured_at, closed_at)
values (@order_id, @provider_id, @state, @amount, @currency, @decline_code, @authorised_at, @captured_at, @closed_at)
on conflict (order_id) do nothing;
