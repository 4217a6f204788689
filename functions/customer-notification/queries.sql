-- name: Claim :one
-- Takes the right to send one mail, or returns no row where it is not to be
-- had: the mail is done with, or somebody else is sending it. A claim ends with
-- the error that its attempt met or, where whoever held it died, after the
-- lease; nobody knows then whether that attempt came to send the mail. After such
-- an attempt it is not to be had for a while, nor where there is evidence of one:
-- see SettleByEvidence.
-- clock_timestamp, not now: the statement may have waited for another.
insert into notifications (order_id, change, state, claimed_at)
values (@order_id, @change, 'sending', clock_timestamp())
on conflict (order_id, change) do update
set attempts = notifications.attempts + 1, claimed_at = clock_timestamp(), last_error = null,
    uncertain = notifications.uncertain + (notifications.last_error is null)::int,
    uncertain_at = case when notifications.last_error is null then notifications.claimed_at else notifications.uncertain_at end
where notifications.state = 'sending'
  and (notifications.last_error is not null
       or notifications.claimed_at < clock_timestamp() - make_interval(secs => @lease_seconds::float8))
  and coalesce(case when notifications.last_error is null then notifications.claimed_at else notifications.uncertain_at end
               < clock_timestamp() - make_interval(secs => @wait_seconds::float8), true)
  and not exists (select from mail_events e where e.order_id = notifications.order_id and e.change = notifications.change)
returning attempts;

-- name: SettleByEvidence :one
-- Takes a mail for sent of which SendGrid has told anything: only what it accepted
-- has a fate. One of the attempts that nobody knew the end of is known by that. Not
-- while another attempt is under way, unless it is the only one there was: then it
-- is that one's evidence.
update notifications n
set state = 'sent', by_evidence = true, message_id = e.message_id, sent_at = clock_timestamp(), last_error = null,
    uncertain = greatest(n.uncertain + (n.last_error is null)::int - 1, 0)
from (select known.message_id from mail_events known
      where known.order_id = @order_id and known.change = @change
      order by known.at, known.sg_event_id
      limit 1) e
where n.order_id = @order_id and n.change = @change and n.state = 'sending'
  and (n.last_error is not null or n.attempts = 1
       or n.claimed_at < clock_timestamp() - make_interval(secs => @lease_seconds::float8))
returning n.message_id;

-- name: FindState :one
-- Idle is a mail that nobody is sending.
select state,
       (last_error is not null or claimed_at < clock_timestamp() - make_interval(secs => @lease_seconds::float8))::boolean as idle
from notifications
where order_id = @order_id and change = @change;

-- name: MarkSent :exec
-- Whoever's claim it is by now: the mail has been sent, that is what counts.
update notifications
set state = 'sent', message_id = @message_id::text, sent_at = clock_timestamp(), last_error = null
where order_id = @order_id and change = @change and state = 'sending';

-- name: GiveUp :exec
-- Only one's own claim, as in Release.
update notifications set state = @state, refused_for = sqlc.narg(refused_for), last_error = @reason::text
where order_id = @order_id and change = @change and state = 'sending' and attempts = @attempts;

-- name: Release :exec
-- Only one's own claim: another may have begun after the lease.
update notifications
set last_error = @reason::text, uncertain = uncertain + @uncertain::int,
    uncertain_at = case when @uncertain::int > 0 then clock_timestamp() else uncertain_at end
where order_id = @order_id and change = @change and state = 'sending' and attempts = @attempts;

-- name: FindOrder :one
-- A contact that was erased leaves an order without an address. A confirmation
-- is on its way while somebody holds the claim for it.
select o.number, o.status,
       exists (select from notifications n
               where n.order_id = o.id and n.change = 'order-shipped' and n.state = 'sent') as told_of_shipping,
       exists (select from notifications n
               where n.order_id = o.id and n.change = 'order-placed' and n.state = 'sending' and n.last_error is null
                 and n.claimed_at >= clock_timestamp() - make_interval(secs => @lease_seconds::float8)) as confirming,
       o.total_amount, o.currency, (c.order_id is not null)::boolean as has_contact,
       coalesce(c.name, '')::text as name, coalesce(c.email, '')::text as email,
       coalesce(c.line1, '')::text as line1, coalesce(c.line2, '')::text as line2, coalesce(c.city, '')::text as city,
       coalesce(c.postal_code, '')::text as postal_code, coalesce(c.country, '')::text as country,
       coalesce(c.language, '')::text as language
from orders o
left join order_contacts c on c.order_id = o.id
where o.id = @order_id;

-- name: ListLines :many
select sku, name, quantity, price_amount from order_lines where order_id = @order_id order by line;

-- name: TakeLinkRequests :execrows
-- Takes the requests for links to orders, and has a mail sent for each that names
-- an order and its address. Nobody gets more than one in the pause, however often
-- somebody asks. Whoever is sent one just now is sent that.
with asked as (
    delete from order_link_requests
    where (number, email_sha256) in (
        select number, email_sha256 from order_link_requests order by requested_at limit 500 for update skip locked
    )
    returning number, email_sha256, language, requested_at
), due as (
    insert into order_link_mails (order_id, language, state, requested_at)
    select o.id, asked.language, 'due', asked.requested_at
    from asked
    join orders o on o.number = asked.number
    join order_contacts c on c.order_id = o.id and sha256(convert_to(lower(c.email collate "C"), 'UTF8')) = asked.email_sha256
    on conflict (order_id) do update
    set state = 'due', language = excluded.language, requested_at = excluded.requested_at, claimed_at = null, last_error = null
    where order_link_mails.state <> 'due'
      and order_link_mails.requested_at < excluded.requested_at - make_interval(secs => @pause_seconds::float8)
)
select from asked;

-- name: ClaimLinkMail :one
-- Takes the right to send the mail that has waited longest. One whose attempt
-- failed, or whose function died, is to be had again after the lease.
update order_link_mails
set claimed_at = clock_timestamp(), attempts = attempts + 1
where order_id = (
    select order_id from order_link_mails
    where state = 'due'
      and coalesce(claimed_at < clock_timestamp() - make_interval(secs => @lease_seconds::float8), true)
    order by requested_at
    limit 1
    for update skip locked
)
returning order_id, language, attempts;

-- name: MarkLinkSent :exec
update order_link_mails
set state = 'sent', message_id = @message_id::text, sent_at = clock_timestamp(), last_error = null
where order_id = @order_id;

-- name: RefuseLink :exec
update order_link_mails set state = 'refused', last_error = @reason::text
where order_id = @order_id and state = 'due' and attempts = @attempts;

-- name: NoteLinkFailure :exec
update order_link_mails set last_error = @reason::text
where order_id = @order_id and state = 'due' and attempts = @attempts;

-- name: ExpireLinkMails :execrows
-- Who asked so long ago has asked again, or doesn't wait any more.
update order_link_mails set state = 'refused', last_error = coalesce(last_error, 'never tried') || ' (given up for its age)'
where state = 'due' and requested_at < now() - make_interval(secs => @age_seconds::float8);
