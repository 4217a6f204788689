-- A shop with $1 orders of the last 90 days, the latest 2,000 of them on their way: for
-- tests of how the back office does with many. Nothing handles these events, so that
-- the rows by which functions say so are left out. Triggers are off: what they would
-- write is written here, many rows at once.

-- statement
set session_replication_role = replica

-- statement
create temporary table made as
select i, at, number, quantity, status, reason,
       (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid as id,
       'ART-' || lpad((i % 40)::text, 2, '0') as sku, 'ART-' || lpad(((i + 7) % 40)::text, 2, '0') as other
from (
    select i, now() - interval '90 days' * (1 - i::float8 / $1) - interval '1 minute' as at, md5(i::text) as hash,
           'OF-' || upper(lpad(to_hex(i), 10, '0')) as number, 1 + i % 3 as quantity,
           case when i > $1 - 2000 then (array['placed', 'payment_verified', 'inventory_updated'])[1 + i % 3]
                when i % 25 = 0 or i = $1 / 2 then 'cancelled' else 'shipped' end as status,
           case when i > $1 - 2000 then null when i = $1 / 2 then 'payment_expired'
                when i % 25 = 0 then (array['payment_declined', 'out_of_stock', 'customer_request'])[1 + i % 3] end as reason
    from generate_series(1, $1::int) as i
) as drawn

-- statement
insert into products (sku, name, description, category, price_amount, currency)
select 'ART-' || lpad(n::text, 2, '0'), 'Article ' || n, 'For tests', 'tests', 1250, 'EUR' from generate_series(0, 39) as n

-- statement
insert into stock (sku, opening, on_hand)
select sku, 10000000, 10000000 from products

-- statement
insert into orders (id, number, status, cancel_reason, total_amount, currency, payment_method, placed_at, updated_at, settled_at)
select id, number, status, reason, (quantity + 1) * 1250, 'EUR', 'pm_card_visa', at, at,
       case when status in ('shipped', 'cancelled') then at end
from made order by i

-- statement
insert into order_contacts (order_id, name, email, line1, city, postal_code, country)
select id, 'Customer ' || i, 'Customer' || i % greatest(1, $1 / 5) || '@customers.example', 'Lane ' || i, 'Town', '10000', 'PL' from made order by i

-- statement
insert into order_lines (order_id, line, sku, name, quantity, price_amount)
select m.id, l.line, l.sku, l.sku, l.quantity, 1250
from made m cross join lateral (values (1, m.sku, m.quantity), (2, m.other, 1)) as l (line, sku, quantity)
order by m.i

-- statement
insert into order_events (order_id, name, source, cause, type, data, occurred_at, published_at)
select m.id, e.name, e.source, e.cause, 'orderflow.' || replace(e.name, '-', '.') || '.v1',
       jsonb_build_object('order_id', m.id, 'number', m.number, 'total', jsonb_build_object('amount', (m.quantity + 1) * 1250, 'currency', 'EUR'),
           'lines', jsonb_build_array(
               jsonb_build_object('sku', m.sku, 'quantity', m.quantity, 'unit_price', jsonb_build_object('amount', 1250, 'currency', 'EUR')),
               jsonb_build_object('sku', m.other, 'quantity', 1, 'unit_price', jsonb_build_object('amount', 1250, 'currency', 'EUR'))))
           || case when e.name = 'order-cancelled' then jsonb_build_object('reason', m.reason) else '{}' end,
       m.at + e.nr * interval '120 milliseconds', m.at + e.nr * interval '120 milliseconds'
from made m
cross join (values (1, 'order-placed', 'storefront', null), (2, 'payment-verified', 'payment-verification', 'order-placed'),
                   (3, 'inventory-updated', 'inventory-update', 'payment-verified'), (4, 'order-shipped', 'shipment-preparation', 'inventory-updated'),
                   (5, 'order-cancelled', 'payment-verification', 'order-placed')) as e (nr, name, source, cause)
where case m.status when 'shipped' then e.nr <= 4 when 'cancelled' then e.nr in (1, 5) when 'placed' then e.nr = 1
                    when 'payment_verified' then e.nr <= 2 else e.nr <= 3 end
order by m.i

-- statement
insert into shipments (order_id, carrier, tracking_number, label_key, label_sha256, prepared_at)
select id, 'carrier', 'T' || i, 'labels/' || id || '.pdf', '\x00', at from made where status = 'shipped' order by i

-- statement
insert into notifications (order_id, change, state, claimed_at, sent_at, message_id, refused_for)
select m.id, c.change, case when m.i % 1000 = 0 then 'refused' else 'sent' end, m.at,
       case when m.i % 1000 <> 0 then m.at end, case when m.i % 1000 <> 0 then 'message-' || m.i end, case when m.i % 1000 = 0 then 'address_invalid' end
from made m cross join (values ('order-placed'), ('order-shipped'), ('order-cancelled')) as c (change)
where c.change = 'order-placed' or (c.change = 'order-shipped' and m.status = 'shipped') or (c.change = 'order-cancelled' and m.status = 'cancelled')
order by m.i

-- statement
insert into payments (order_id, provider_id, state, amount, currency, authorised_at)
select id, 'pay_' || i, 'authorised', (quantity + 1) * 1250, 'EUR', at from made where status <> 'placed' order by i

-- statement
insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause, at)
select id, 'authorise', 'customer', 'held', (quantity + 1) * 1250, 'EUR', 'order-placed', at from made where status <> 'placed' order by i

-- statement
insert into mail_events (sg_event_id, order_id, change, kind, message_id, at, recorded_at)
select 'event-' || i, id, 'order-placed', 'delivered', 'message-' || i, at, at from made order by i

-- statement
insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, at)
select sku, id, 'reserve', 'available', 'reserved', quantity, 'payment-verified', at from made where status = 'shipped' order by i

-- statement
insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, state, first_at, last_at)
select id || '/order-placed', '/orderflow/storefront', 'orderflow.order.placed.v1', id, 'http://payment-verification.orderflow.svc.cluster.local',
       (array['500', '422', ''])[1 + i % 3], 'it would not', '{}', case when i % 1000 = 0 then 'open' else 'redriven' end, at, at
from made where i % 100 = 0 order by i

-- statement
insert into analytics_minutes (minute, metric, dimension, shard, value)
select date_trunc('minute', m.at, 'UTC'), c.metric, c.dimension, m.i % 16, sum(c.value)
from made m
cross join lateral (values ('orders_placed', '', 1, true), ('orders_shipped', '', 1, m.status = 'shipped'), ('revenue', 'EUR', (m.quantity + 1) * 1250, m.status = 'shipped'),
    ('items_sold', m.sku, m.quantity, m.status = 'shipped'), ('items_sold', m.other, 1, m.status = 'shipped'),
    ('orders_cancelled', m.reason, 1, m.status = 'cancelled')) as c (metric, dimension, value, counts)
where c.counts
group by 1, 2, 3, 4

-- statement
insert into analytics_rollups (unit, start, metric, dimension, shard, value)
select u.unit, date_trunc(u.unit, c.minute, 'UTC'), c.metric, c.dimension, c.shard, sum(c.value)
from analytics_minutes c cross join (values ('hour'), ('day')) as u (unit)
group by 1, 2, 3, 4, 5

-- statement
insert into operator_acts (actor, subject, role, action, target, reason, at)
select 'ada', 'oidc:ada', 'operator', 'cancel order', 'order ' || id, 'the customer asked', at from made where i % 10 = 0 order by i

-- statement
insert into operator_act_outcomes (act_id, outcome) select id, 'done' from operator_acts

-- statement
insert into audits (began_at, ended_at, moving, orders, violations) select now(), now(), false, $1, 0 from generate_series(1, 500)

-- statement
insert into audit_checks (audit_id, name, says, violations)
select a.id, c.name, 'something', 0 from audits a cross join (values ('stock_is_conserved'), ('every_order_is_final'), ('labels')) as c (name)

-- statement
set session_replication_role = origin
