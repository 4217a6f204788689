-- Who did what about a dead letter, when and why.

-- +goose Up

-- One row for each time that somebody redrives or discards a letter. The letter
-- itself keeps the event as it came; what was sent in its place stands here.
create table if not exists dead_letter_acts (
    id        bigint generated always as identity primary key,
    letter_id bigint not null references dead_letters,
    action    text not null check (action in ('redrive', 'discard')),
    actor     text not null check (actor <> ''),
    reason    text not null default '',
    data      bytea,                         -- what the event said instead of its own data
    was       text not null,                 -- the letter's state before
    times     int not null,                  -- how often it had come by then
    began_at  timestamptz not null,
    ended_at  timestamptz,                   -- null: not over, or whoever did it died
    outcome   text check (outcome in ('sent', 'failed', 'discarded')),
    error     text,
    constraint outcome_at_the_end check ((ended_at is null) = (outcome is null)),
    constraint discarded_for_a_reason check (action <> 'discard' or reason <> ''),
    constraint edited_for_a_reason check (data is null or reason <> '')
);

create index if not exists dead_letter_acts_of on dead_letter_acts (letter_id, id);

-- Until then the letter is left to who redrives it. Whoever dies leaves it to others.
alter table dead_letters add column if not exists redriving_until timestamptz;

-- +goose Down

alter table dead_letters drop column redriving_until;
drop table dead_letter_acts;
