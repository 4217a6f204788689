-- A journal of money and one of units, from which every other figure follows.

-- +goose NO TRANSACTION
-- +goose Up

-- How much of a captured payment was given back. Whoever says that a payment is
-- refunded means all of it, as earlier versions do, which don't know this column.
alter table payments add column if not exists refunded_amount bigint not null default 0;

-- +goose StatementBegin
create or replace function refund_whole() returns trigger language plpgsql as $$
begin
    new.refunded_amount := new.amount;
    return new;
end $$;
-- +goose StatementEnd

create or replace trigger refunded_whole before insert or update on payments
    for each row when (new.state = 'refunded') execute function refund_whole();
update payments set refunded_amount = amount where state = 'refunded' and refunded_amount <> amount;
alter table payments drop constraint if exists refund_is_of_what_was_captured;
alter table payments add constraint refund_is_of_what_was_captured check (
    case state when 'refunded' then refunded_amount = amount
               when 'captured' then refunded_amount >= 0 and refunded_amount < amount
               else refunded_amount = 0 end) not valid;
alter table payments validate constraint refund_is_of_what_was_captured;

-- What was found or lost since the opening, by counting.
alter table stock add column if not exists adjusted bigint not null default 0;
alter table stock drop constraint if exists nothing_vanishes,
    add constraint nothing_vanishes check (opening + received + adjusted = on_hand + shipped) not valid;
alter table stock validate constraint nothing_vanishes;

-- One row for each time that money moves from one account to another, so that
-- what is missing here is there, always. An account's balance is what it was
-- credited less what it was debited. No foreign key to orders: only triggers
-- write here, for rows that have one.
create table if not exists money_transfers (
    id       bigint generated always as identity,
    order_id uuid not null,
    kind     text not null check (kind in ('authorise', 'capture', 'void', 'refund', 'correction')),
    debit    text not null check (debit in ('customer', 'held', 'captured')),
    credit   text not null check (credit in ('customer', 'held', 'captured')),
    amount   bigint not null check (amount > 0),
    currency text not null,
    cause    text,                           -- name of the event because of which it moved
    actor    text,                           -- who moved it, where no event is the cause
    reason   text,
    at       timestamptz not null default now(),
    primary key (order_id, id),
    constraint money_moves check (debit <> credit),
    constraint money_is_moved_by_somebody check (cause is not null or actor is not null)
);

-- Goods that came, and what counting has found: who wrote it down, when and why.
-- A reference stands for one delivery, or one count, however often it is entered.
create table if not exists stock_acts (
    id        bigint generated always as identity primary key,
    action    text not null check (action in ('receive', 'adjust')),
    reference text unique check (reference <> ''),
    reason    text not null default '',
    actor     text not null check (actor <> ''),
    at        timestamptz not null default now(),
    constraint received_by_reference check (action <> 'receive' or reference is not null),
    constraint adjusted_for_a_reason check (action <> 'adjust' or reason <> '')
);

create table if not exists stock_act_lines (
    act_id   bigint not null references stock_acts,
    sku      text not null references products,
    quantity bigint not null check (quantity <> 0),
    primary key (act_id, sku)
);

-- The same for units of an article. Those of an order carry its id.
create table if not exists stock_transfers (
    id       bigint generated always as identity,
    sku      text not null,
    order_id uuid,
    kind     text not null check (kind in ('opening', 'receive', 'adjust', 'reserve', 'release', 'ship', 'return', 'correction')),
    debit    text not null check (debit in ('supplier', 'adjusted', 'available', 'reserved', 'shipped')),
    credit   text not null check (credit in ('supplier', 'adjusted', 'available', 'reserved', 'shipped')),
    quantity bigint not null check (quantity > 0),
    cause    text,
    act_id   bigint,                         -- the receipt or the count that it is of
    actor    text,
    reason   text,
    at       timestamptz not null default now(),
    primary key (sku, id),
    constraint units_move check (debit <> credit),
    constraint units_are_moved_by_somebody check (cause is not null or actor is not null)
);

create index if not exists stock_transfers_of on stock_transfers (order_id) where order_id is not null;

-- Figures that were set right since they weren't what they derive from.
create table if not exists repairs (
    id      bigint generated always as identity primary key,
    subject text not null,                   -- 'stock SKU', 'order ID'
    figure  text not null,
    was     text not null,
    became  text not null,
    because text not null,                   -- what it derives from
    actor   text not null check (actor <> ''),
    reason  text not null check (reason <> ''),
    at      timestamptz not null default now(),
    constraint repair_changes check (was <> became)
);

-- +goose StatementBegin
create or replace function kept_for_good() returns trigger language plpgsql as $$
begin
    raise exception '% is only added to', tg_table_name
        using errcode = 'restrict_violation', hint = 'A mistake is made good by another entry.';
end $$;
-- +goose StatementEnd

create or replace trigger kept_for_good before update or delete or truncate on money_transfers execute function kept_for_good();
create or replace trigger kept_for_good before update or delete or truncate on stock_transfers execute function kept_for_good();
create or replace trigger kept_for_good before update or delete or truncate on stock_acts execute function kept_for_good();
create or replace trigger kept_for_good before update or delete or truncate on stock_act_lines execute function kept_for_good();
create or replace trigger kept_for_good before update or delete or truncate on repairs execute function kept_for_good();
-- Truncating fires no trigger for rows: figures would go without an entry.
create or replace trigger not_truncated before truncate on payments execute function kept_for_good();
create or replace trigger not_truncated before truncate on reservations execute function kept_for_good();
create or replace trigger not_truncated before truncate on stock execute function kept_for_good();

-- Whoever changes a figure by hand may say who that is, and why, by
-- set_config('orderflow.actor', ..., true) and 'orderflow.reason'. Functions don't.
-- +goose StatementBegin
create or replace function told(setting text) returns text language sql stable as
    $$ select nullif(current_setting('orderflow.' || setting, true), '') $$;
-- +goose StatementEnd

-- The steps that a payment in a state has been through. A payment that is declined
-- was held where its capture was declined, and then the hold is given back.
-- +goose StatementBegin
create or replace function money_steps(state text, amount bigint, refunded bigint, held boolean)
returns table (authorised bigint, captured bigint, voided bigint, refunded_all bigint) language sql immutable as $$
    select case when state in ('authorised', 'captured', 'voided', 'refunded') or (state = 'declined' and held) then amount else 0 end,
           case when state in ('captured', 'refunded') then amount else 0 end,
           case when state = 'voided' or (state = 'declined' and held) then amount else 0 end,
           case state when 'refunded' then amount when 'captured' then refunded else 0 end
$$;
-- +goose StatementEnd

-- The same for what is reserved.
-- +goose StatementBegin
create or replace function unit_steps(state text, quantity int)
returns table (reserved bigint, shipped bigint, released bigint) language sql immutable as $$
    select case when state in ('held', 'shipped', 'released') then quantity else 0 end::bigint,
           case state when 'shipped' then quantity else 0 end::bigint,
           case state when 'released' then quantity else 0 end::bigint
$$;
-- +goose StatementEnd

-- The journal of money follows the payments, whoever changes them: what a change
-- adds to the steps is a transfer. Functions only ever add. What takes a step
-- back, or changes an amount, is a correction, made by hand.
--
-- The cause is what money moves for, not which of the functions was first to write
-- it down: a hold is given back because the order is cancelled, or because it
-- couldn't be captured, when the order isn't cancelled yet.
-- +goose StatementBegin
create or replace function journal_payment() returns trigger language plpgsql as $$
declare
    was payments;
    is_now payments;
    was_held boolean;
    by_hand text := told('actor');
    wrong boolean := tg_op = 'DELETE';
begin
    if tg_op <> 'INSERT' then was := old; end if;
    if tg_op <> 'DELETE' then is_now := new; end if;
    if tg_op = 'UPDATE' then
        if (old.order_id, old.currency) is distinct from (new.order_id, new.currency) then
            raise exception 'a payment keeps its order and its currency' using errcode = 'restrict_violation';
        end if;
        wrong := old.amount <> new.amount;
    end if;
    was_held := was.state <> 'declined' or was.authorised_at is not null;
    insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause, actor, reason)
    select entry.order_id, entry.kind, entry.debit, entry.credit, entry.amount, entry.currency, entry.cause,
           case when entry.cause is null then coalesce(by_hand, 'database user ' || session_user) end, told('reason')
    from (
        select coalesce(is_now.order_id, was.order_id) as order_id, coalesce(is_now.currency, was.currency) as currency,
               abs(step.difference) as amount, turn.kind, step.nr,
               case when step.difference > 0 then step.debit else step.credit end as debit,
               case when step.difference > 0 then step.credit else step.debit end as credit,
               case when by_hand is not null or turn.kind = 'correction' then null
                    when turn.kind = 'authorise' then 'order-placed'
                    when turn.kind = 'capture' then 'inventory-updated'
                    else (select case status when 'placed' then 'order-placed' when 'inventory_updated' then 'inventory-updated'
                                             when 'cancelled' then 'order-cancelled' end
                          from orders where id = coalesce(is_now.order_id, was.order_id)) end as cause
        from money_steps(was.state, was.amount, was.refunded_amount, was_held) as before,
             money_steps(is_now.state, is_now.amount, is_now.refunded_amount, coalesce(was_held, false) or is_now.authorised_at is not null) as after,
             lateral (values (1, 'authorise', 'customer', 'held', after.authorised - before.authorised),
                             (2, 'capture', 'held', 'captured', after.captured - before.captured),
                             (3, 'void', 'held', 'customer', after.voided - before.voided),
                             (4, 'refund', 'captured', 'customer', after.refunded_all - before.refunded_all)
                     ) as step (nr, kind, debit, credit, difference),
             lateral (select case when wrong or step.difference < 0 then 'correction' else step.kind end as kind) as turn
        where step.difference <> 0
    ) as entry
    order by entry.nr;
    return null;
end $$;
-- +goose StatementEnd

create or replace trigger journal_new_payment after insert or delete on payments
    for each row execute function journal_payment();
create or replace trigger journal_payment after update on payments
    for each row when ((old.order_id, old.state, old.amount, old.currency, old.refunded_amount)
        is distinct from (new.order_id, new.state, new.amount, new.currency, new.refunded_amount))
    execute function journal_payment();

-- What a change of a reservation comes to.
-- +goose StatementBegin
create or replace function unit_changes(was text, was_quantity int, state text, quantity int)
returns table (nr int, kind text, debit text, credit text, units bigint, cause text) language sql immutable as $$
    select step.nr, case when turn.by_hand then 'correction' else step.kind end,
           case when step.difference > 0 then step.debit else step.credit end,
           case when step.difference > 0 then step.credit else step.debit end,
           abs(step.difference), case when turn.by_hand then null else step.cause end
    from unit_steps(was, was_quantity) as before, unit_steps(state, quantity) as after,
         lateral (values (1, 'reserve', 'available', 'reserved', after.reserved - before.reserved, 'payment-verified'),
                         (2, 'ship', 'reserved', 'shipped', after.shipped - before.shipped, 'inventory-updated'),
                         (3, 'release', 'reserved', 'available', after.released - before.released, 'order-cancelled')
                 ) as step (nr, kind, debit, credit, difference, cause),
         lateral (select step.difference < 0 or was_quantity <> quantity or state is null as by_hand) as turn
    where step.difference <> 0
$$;
-- +goose StatementEnd

-- The journal of units follows the reservations in the same way, all of a
-- statement at once: it reserves, ships or releases all lines of an order.
-- +goose StatementBegin
create or replace function journal_reservations() returns trigger language plpgsql as $$
declare
    by_hand text := told('actor');
begin
    if tg_op = 'INSERT' then
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, actor, reason)
        select n.sku, n.order_id, c.kind, c.debit, c.credit, c.units, case when by_hand is null then c.cause end, by_hand, told('reason')
        from new_rows n cross join lateral unit_changes(null, null, n.state, n.quantity) c
        order by n.sku, c.nr;
    elsif tg_op = 'UPDATE' then
        if exists (select from old_rows o where not exists (select from new_rows n where (n.order_id, n.sku) = (o.order_id, o.sku))) then
            raise exception 'a reservation keeps its order and its article' using errcode = 'restrict_violation';
        end if;
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, actor, reason)
        select n.sku, n.order_id, c.kind, c.debit, c.credit, c.units, case when by_hand is null then c.cause end,
               coalesce(by_hand, case when c.cause is null then 'database user ' || session_user end), told('reason')
        from old_rows o join new_rows n using (order_id, sku)
        cross join lateral unit_changes(o.state, o.quantity, n.state, n.quantity) c
        order by n.sku, c.nr;
    else
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, actor, reason)
        select o.sku, o.order_id, c.kind, c.debit, c.credit, c.units, coalesce(by_hand, 'database user ' || session_user), told('reason')
        from old_rows o cross join lateral unit_changes(o.state, o.quantity, null, null) c
        order by o.sku, c.nr;
    end if;
    return null;
end $$;
-- +goose StatementEnd

create or replace trigger journal_new_reservations after insert on reservations
    referencing new table as new_rows for each statement execute function journal_reservations();
create or replace trigger journal_reservations after update on reservations
    referencing old table as old_rows new table as new_rows for each statement execute function journal_reservations();
create or replace trigger journal_gone_reservations after delete on reservations
    referencing old table as old_rows for each statement execute function journal_reservations();

-- And what comes from outside of orders follows the stock. An order changes none of
-- these columns, so that the condition is all that it pays.
-- +goose StatementBegin
create or replace function journal_stock() returns trigger language plpgsql as $$
declare
    was stock;
    is_now stock;
begin
    if tg_op <> 'INSERT' then was := old; end if;
    if tg_op <> 'DELETE' then is_now := new; end if;
    if tg_op = 'UPDATE' then
        if old.sku <> new.sku then
            raise exception 'stock keeps its article' using errcode = 'restrict_violation';
        end if;
    end if;
    insert into stock_transfers (sku, kind, debit, credit, quantity, act_id, actor, reason)
    select coalesce(is_now.sku, was.sku),
           case when tg_op = 'DELETE' or (step.difference < 0 and step.kind <> 'adjust')
                  or (step.kind = 'opening' and tg_op = 'UPDATE') then 'correction' else step.kind end,
           case when step.difference > 0 then step.debit else 'available' end,
           case when step.difference > 0 then 'available' else step.debit end,
           abs(step.difference), told('act')::bigint, coalesce(told('actor'), 'database user ' || session_user), told('reason')
    from (values (1, 'opening', 'supplier', coalesce(is_now.opening, 0) - coalesce(was.opening, 0)),
                 (2, 'receive', 'supplier', coalesce(is_now.received, 0) - coalesce(was.received, 0)),
                 (3, 'adjust', 'adjusted', coalesce(is_now.adjusted, 0) - coalesce(was.adjusted, 0))
         ) as step (nr, kind, debit, difference)
    where step.difference <> 0
    order by step.nr;
    return null;
end $$;
-- +goose StatementEnd

create or replace trigger journal_new_stock after insert or delete on stock
    for each row execute function journal_stock();
create or replace trigger journal_stock after update on stock
    for each row when ((old.sku, old.opening, old.received, old.adjusted) is distinct from (new.sku, new.opening, new.received, new.adjusted))
    execute function journal_stock();

-- What is on record about goods takes effect as it is written down, so that
-- neither can be without the other. The first receipt of an article opens its stock.
-- +goose StatementBegin
create or replace function act_on_stock() returns trigger language plpgsql as $$
declare
    act stock_acts;
    came bigint;
    found_more bigint;
begin
    select * into strict act from stock_acts where id = new.act_id;
    came := case act.action when 'receive' then new.quantity else 0 end;
    found_more := case act.action when 'adjust' then new.quantity else 0 end;
    if came < 0 then
        raise exception 'goods that go are no receipt' using errcode = 'check_violation';
    end if;
    perform set_config('orderflow.act', act.id::text, true), set_config('orderflow.actor', act.actor, true),
            set_config('orderflow.reason', act.reason, true);
    update stock set received = received + came, adjusted = adjusted + found_more, on_hand = on_hand + new.quantity
    where sku = new.sku;
    if not found then
        insert into stock (sku, opening, received, adjusted, on_hand) values (new.sku, 0, came, found_more, new.quantity)
        on conflict (sku) do update
        set received = stock.received + came, adjusted = stock.adjusted + found_more, on_hand = stock.on_hand + new.quantity;
    end if;
    perform set_config('orderflow.act', '', true), set_config('orderflow.actor', '', true), set_config('orderflow.reason', '', true);
    return null;
end $$;
-- +goose StatementEnd

create or replace trigger act_on_stock after insert on stock_act_lines
    for each row execute function act_on_stock();

-- What was there before. From here on the triggers write whatever changes, and a
-- row and its entries change together; so what the rows say and the journal doesn't,
-- both seen by one statement at one moment, is what is missing, now and whatever is
-- written meanwhile. No lock is needed, and a second run finds nothing missing.
insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause, actor, at)
select p.order_id, step.kind, step.debit, step.credit, step.due - coalesce(step.there, 0), p.currency,
       step.cause, case when step.cause is null then 'migration' end, coalesce(h.at, o.updated_at)
from payments p
join orders o on o.id = p.order_id
cross join lateral money_steps(p.state, p.amount, p.refunded_amount, p.authorised_at is not null) as s
left join lateral (
    select sum(amount) filter (where kind = 'authorise') as authorised, sum(amount) filter (where kind = 'capture') as captured,
           sum(amount) filter (where kind = 'void') as voided, sum(amount) filter (where kind = 'refund') as refunded,
           bool_or(kind = 'correction') as corrected
    from money_transfers t where t.order_id = p.order_id
) as j on true
cross join lateral (values
    (1, 'authorise', 'customer', 'held', s.authorised, j.authorised, 'order-placed', 'payment-verification', 'order-placed'),
    (2, 'capture', 'held', 'captured', s.captured, j.captured, 'inventory-updated', 'shipment-preparation', 'inventory-updated'),
    (3, 'void', 'held', 'customer', s.voided, j.voided,
        case when o.status = 'cancelled' then 'order-cancelled' end, 'order-cancellation', 'order-cancelled'),
    (4, 'refund', 'captured', 'customer', s.refunded_all, j.refunded,
        case when o.status = 'cancelled' then 'order-cancelled' end, 'order-cancellation', 'order-cancelled')
) as step (nr, kind, debit, credit, due, there, cause, source, handled)
left join lateral (select min(occurred_at) as at from order_events e
    where e.order_id = p.order_id and e.source = step.source and e.cause = step.handled) as h on true
where step.due > coalesce(step.there, 0) and j.corrected is not true
order by p.order_id, step.nr;

insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, at)
select r.sku, r.order_id, step.kind, step.debit, step.credit, step.due - coalesce(step.there, 0), step.cause, coalesce(h.at, o.updated_at)
from reservations r
join orders o on o.id = r.order_id
cross join lateral unit_steps(r.state, r.quantity) as s
left join lateral (
    select sum(quantity) filter (where kind = 'reserve') as reserved, sum(quantity) filter (where kind = 'ship') as shipped,
           sum(quantity) filter (where kind = 'release') as released, bool_or(kind = 'correction') as corrected
    from stock_transfers t where t.order_id = r.order_id and t.sku = r.sku
) as j on true
cross join lateral (values
    (1, 'reserve', 'available', 'reserved', s.reserved, j.reserved, 'payment-verified', 'inventory-update'),
    (2, 'ship', 'reserved', 'shipped', s.shipped, j.shipped, 'inventory-updated', 'shipment-preparation'),
    (3, 'release', 'reserved', 'available', s.released, j.released, 'order-cancelled', 'order-cancellation')
) as step (nr, kind, debit, credit, due, there, cause, source)
left join lateral (select min(occurred_at) as at from order_events e
    where e.order_id = r.order_id and e.source = step.source and e.cause = step.cause) as h on true
where step.due > coalesce(step.there, 0) and j.corrected is not true
order by r.sku, step.nr;

insert into stock_transfers (sku, kind, debit, credit, quantity, actor)
select s.sku, step.kind, 'supplier', 'available', step.due - coalesce(step.there, 0), 'migration'
from stock s
left join lateral (
    select sum(case debit when 'supplier' then quantity else -quantity end) filter (where kind = 'opening') as opening,
           sum(quantity) filter (where kind = 'receive') as received, bool_or(kind = 'correction') as corrected
    from stock_transfers t where t.sku = s.sku and 'supplier' in (t.debit, t.credit)
) as j on true
cross join lateral (values (1, 'opening', s.opening, j.opening), (2, 'receive', s.received, j.received)) as step (nr, kind, due, there)
where step.due > coalesce(step.there, 0) and j.corrected is not true
order by s.sku, step.nr;

-- +goose Down

drop trigger refunded_whole on payments;
drop trigger journal_new_payment on payments;
drop trigger journal_payment on payments;
drop trigger not_truncated on payments;
drop trigger journal_new_reservations on reservations;
drop trigger journal_reservations on reservations;
drop trigger journal_gone_reservations on reservations;
drop trigger not_truncated on reservations;
drop trigger journal_new_stock on stock;
drop trigger journal_stock on stock;
drop trigger not_truncated on stock;
drop table stock_transfers, stock_act_lines, stock_acts, money_transfers, repairs;
drop function journal_payment, journal_reservations, journal_stock, act_on_stock, unit_changes, unit_steps, money_steps, told, kept_for_good, refund_whole;
alter table payments drop column refunded_amount;
alter table stock drop constraint nothing_vanishes;
update stock set received = greatest(0, received + adjusted), opening = opening + least(0, received + adjusted) where adjusted <> 0;
alter table stock add constraint nothing_vanishes check (opening + received = on_hand + shipped);
alter table stock drop column adjusted;
