-- What became of a mail that customers didn't get, and what nobody knows of one
-- that they did.

-- +goose NO TRANSACTION
-- +goose Up

-- Superseded is a confirmation that a later mail has overtaken: it is never sent.
alter table notifications drop constraint if exists mail_state_is_known;
alter table notifications add constraint mail_state_is_known
    check (state in ('sending', 'sent', 'refused', 'superseded')) not valid;
alter table notifications validate constraint mail_state_is_known;
alter table notifications drop constraint if exists notifications_state_check;
alter table notifications drop constraint if exists only_confirmations_are_superseded;
alter table notifications add constraint only_confirmations_are_superseded
    check (state <> 'superseded' or change = 'order-placed') not valid;
alter table notifications validate constraint only_confirmations_are_superseded;

-- How many attempts ended without anybody knowing whether SendGrid took the
-- mail: so many copies may have arrived beside the one on record. What was tried
-- before this was counted may have ended in any way.
alter table notifications add column if not exists uncertain int not null default 0;
update notifications set uncertain = attempts - 1 where attempts > 1 and uncertain = 0;

-- Why a mail is refused for good. Null is what an earlier version wrote.
alter table notifications add column if not exists refused_for text;
alter table notifications drop constraint if exists refused_for_a_reason;
alter table notifications add constraint refused_for_a_reason
    check (refused_for is null or (state = 'refused' and
        refused_for in ('contact_erased', 'address_invalid', 'address_refused', 'mail_refused'))) not valid;
alter table notifications validate constraint refused_for_a_reason;

-- +goose Down

alter table notifications drop column refused_for;
alter table notifications drop column uncertain;
alter table notifications drop constraint only_confirmations_are_superseded;
update notifications set state = 'refused', last_error = 'superseded' where state = 'superseded';
alter table notifications add constraint notifications_state_check check (state in ('sending', 'sent', 'refused'));
alter table notifications drop constraint mail_state_is_known;
