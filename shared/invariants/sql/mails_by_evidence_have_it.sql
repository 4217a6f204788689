-- A mail that is on record as sent because SendGrid told of it was told of.
select n.order_id, n.change, n.message_id
from notifications n
where n.by_evidence
  and not exists (select from mail_events e
                  where e.order_id = n.order_id and e.change = n.change and e.message_id = n.message_id)
