-- Which orders are done with, so that order-recovery finds those that aren't.

-- +goose NO TRANSACTION
-- +goose Up

-- Settled is an order that is final, whose every event was accepted by its sink
-- and handled by every function that reads it: nothing will ever follow. Until
-- then it is one of the few that order-recovery looks at, however many there
-- are in all. Whatever gives a settled order another event sets this back to null.
alter table orders add column if not exists settled_at timestamptz;
alter table orders drop constraint if exists settled_is_final;
alter table orders add constraint settled_is_final
    check (settled_at is null or status in ('shipped', 'cancelled')) not valid;
alter table orders validate constraint settled_is_final;

-- By id, which a UUIDv7 makes the order of placing. An index on updated_at, as
-- orders_unfinished was, would have each move of an order write to all its
-- indexes; like this a move is a heap-only update.
drop index concurrently if exists orders_unsettled;
create index concurrently orders_unsettled on orders (id) where settled_at is null;
drop index concurrently if exists orders_unfinished;

-- +goose Down

create index concurrently orders_unfinished on orders (updated_at) where status not in ('shipped', 'cancelled');
drop index concurrently orders_unsettled;
alter table orders drop column settled_at;
