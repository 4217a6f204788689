-- Returns and refunds of what was shipped, and what operators do to orders.

-- +goose NO TRANSACTION
-- +goose Up

alter table orders drop constraint if exists reason_is_known,
    add constraint reason_is_known check (cancel_reason in
        ('payment_declined', 'payment_expired', 'out_of_stock', 'customer_request', 'operator_request')) not valid;
alter table orders validate constraint reason_is_known;

-- A mail for each return.
alter table notifications drop constraint if exists notifications_change_check;
alter table notifications drop constraint if exists change_is_known;
alter table notifications add constraint change_is_known
    check (change in ('order-placed', 'order-shipped', 'order-cancelled') or change ~ '^order-returned/[1-9][0-9]*$') not valid;
alter table notifications validate constraint change_is_known;
alter table mail_events drop constraint if exists mail_events_change_check;
alter table mail_events drop constraint if exists change_is_known;
alter table mail_events add constraint change_is_known
    check (change in ('order-placed', 'order-shipped', 'order-cancelled') or change ~ '^order-returned/[1-9][0-9]*$') not valid;
alter table mail_events validate constraint change_is_known;

alter table analytics_minutes drop constraint if exists analytics_minutes_metric_check;
alter table analytics_minutes drop constraint if exists metric_is_known;
alter table analytics_minutes add constraint metric_is_known check (metric in
    ('orders_placed', 'orders_shipped', 'orders_cancelled', 'items_sold', 'revenue', 'items_returned', 'refunded')) not valid;
alter table analytics_minutes validate constraint metric_is_known;

-- One row for each time that an operator cancels an order or takes something of it
-- back, and the event that it led to.
create table if not exists order_acts (
    id        bigint generated always as identity primary key,
    order_id  uuid not null,
    action    text not null check (action in ('cancel', 'take_back')),
    event     text not null,
    -- What the act is known by outside, as the number of a return: it is done once.
    reference text unique check (reference <> ''),
    reason    text not null default '',      -- in the operator's words
    actor     text not null check (actor <> ''),
    at        timestamptz not null default now(),
    constraint act_leads_to_its_event foreign key (order_id, event) references order_events (order_id, name),
    constraint one_act_for_an_event unique (order_id, event),
    constraint cancelled_with_a_word check (action <> 'cancel' or reason <> ''),
    constraint taken_back_by_reference check (action <> 'take_back' or reference is not null)
);

create or replace trigger kept_for_good before update or delete or truncate on order_acts execute function kept_for_good();

-- How many of an order's units came back and are for sale again. What came back
-- damaged is gone with what was shipped.
alter table reservations add column if not exists returned int not null default 0;
alter table reservations drop constraint if exists returned_was_shipped;
alter table reservations add constraint returned_was_shipped
    check (returned = 0 or (state = 'shipped' and returned > 0 and returned <= quantity)) not valid;
alter table reservations validate constraint returned_was_shipped;

alter table stock add column if not exists returned bigint not null default 0;
alter table stock drop constraint if exists returned_was_shipped;
alter table stock add constraint returned_was_shipped check (returned >= 0 and returned <= shipped) not valid;
alter table stock validate constraint returned_was_shipped;
alter table stock drop constraint if exists nothing_vanishes,
    add constraint nothing_vanishes check (opening + received + adjusted + returned = on_hand + shipped) not valid;
alter table stock validate constraint nothing_vanishes;

-- Whoever moves money or units because of an event that the state of an order doesn't
-- tell says which by set_config('orderflow.cause', ..., true): a return.

-- As before, with the steps of what came back.
-- +goose StatementBegin
create or replace function unit_steps(state text, quantity int, returned int)
returns table (reserved bigint, shipped bigint, released bigint, returned_in_all bigint) language sql immutable as $$
    select case when state in ('held', 'shipped', 'released') then quantity else 0 end::bigint,
           case state when 'shipped' then quantity else 0 end::bigint,
           case state when 'released' then quantity else 0 end::bigint,
           case state when 'shipped' then returned else 0 end::bigint
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function unit_changes(was text, was_quantity int, was_returned int, state text, quantity int, returned int)
returns table (nr int, kind text, debit text, credit text, units bigint, cause text) language sql stable as $$
    select step.nr, case when turn.by_hand then 'correction' else step.kind end,
           case when step.difference > 0 then step.debit else step.credit end,
           case when step.difference > 0 then step.credit else step.debit end,
           abs(step.difference), case when turn.by_hand then null else step.cause end
    from unit_steps(was, was_quantity, was_returned) as before, unit_steps(state, quantity, returned) as after,
         lateral (values (1, 'reserve', 'available', 'reserved', after.reserved - before.reserved, 'payment-verified'),
                         (2, 'ship', 'reserved', 'shipped', after.shipped - before.shipped, 'inventory-updated'),
                         (3, 'release', 'reserved', 'available', after.released - before.released, 'order-cancelled'),
                         (4, 'return', 'shipped', 'available', after.returned_in_all - before.returned_in_all, told('cause'))
                 ) as step (nr, kind, debit, credit, difference, cause),
         lateral (select step.difference < 0 or was_quantity <> quantity or state is null as by_hand) as turn
    where step.difference <> 0
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function journal_reservations() returns trigger language plpgsql as $$
declare
    by_hand text := told('actor');
begin
    if tg_op = 'INSERT' then
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, actor, reason)
        select n.sku, n.order_id, c.kind, c.debit, c.credit, c.units, case when by_hand is null then c.cause end,
               coalesce(by_hand, case when c.cause is null then 'database user ' || session_user end), told('reason')
        from new_rows n cross join lateral unit_changes(null, null, null, n.state, n.quantity, n.returned) c
        order by n.sku, c.nr;
    elsif tg_op = 'UPDATE' then
        if exists (select from old_rows o where not exists (select from new_rows n where (n.order_id, n.sku) = (o.order_id, o.sku))) then
            raise exception 'a reservation keeps its order and its article' using errcode = 'restrict_violation';
        end if;
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, cause, actor, reason)
        select n.sku, n.order_id, c.kind, c.debit, c.credit, c.units, case when by_hand is null then c.cause end,
               coalesce(by_hand, case when c.cause is null then 'database user ' || session_user end), told('reason')
        from old_rows o join new_rows n using (order_id, sku)
        cross join lateral unit_changes(o.state, o.quantity, o.returned, n.state, n.quantity, n.returned) c
        order by n.sku, c.nr;
    else
        insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, actor, reason)
        select o.sku, o.order_id, c.kind, c.debit, c.credit, c.units, coalesce(by_hand, 'database user ' || session_user), told('reason')
        from old_rows o cross join lateral unit_changes(o.state, o.quantity, o.returned, null, null, null) c
        order by o.sku, c.nr;
    end if;
    return null;
end $$;
-- +goose StatementEnd

-- As before, but for the cause of a refund.
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
                    when turn.kind = 'refund' and told('cause') is not null then told('cause')
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

-- +goose Down

-- What happened stays on record elsewhere; the figures that only this version knows
-- become ones that the version before it does.
drop table order_acts;
alter table orders drop constraint reason_is_known;
update orders set cancel_reason = 'customer_request' where cancel_reason = 'operator_request';
alter table orders add constraint reason_is_known check (cancel_reason in ('payment_declined', 'payment_expired', 'out_of_stock', 'customer_request'));
delete from mail_events where change like 'order-returned/%';
delete from notifications where change like 'order-returned/%';
alter table mail_events drop constraint change_is_known;
alter table mail_events add constraint mail_events_change_check check (change in ('order-placed', 'order-shipped', 'order-cancelled'));
alter table notifications drop constraint change_is_known;
alter table notifications add constraint notifications_change_check check (change in ('order-placed', 'order-shipped', 'order-cancelled'));
delete from analytics_minutes where metric in ('items_returned', 'refunded');
alter table analytics_minutes drop constraint metric_is_known;
alter table analytics_minutes add constraint analytics_minutes_metric_check
    check (metric in ('orders_placed', 'orders_shipped', 'orders_cancelled', 'items_sold', 'revenue'));
update stock set shipped = shipped - returned, returned = 0 where returned <> 0;
alter table stock drop constraint nothing_vanishes, add constraint nothing_vanishes check (opening + received + adjusted = on_hand + shipped);
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
drop function unit_changes(text, int, int, text, int, int), unit_steps(text, int, int);
alter table stock drop column returned;
alter table reservations drop column returned;
