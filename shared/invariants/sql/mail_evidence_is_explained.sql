-- What SendGrid tells of mails, it tells of those on record: the one that was sent, and no more others than attempts that nobody knew the end of.
select e.order_id, e.change, n.state, n.uncertain, count(distinct e.message_id) as told
from mail_events e
left join notifications n on n.order_id = e.order_id and n.change = e.change
group by e.order_id, e.change, n.order_id, n.state, n.uncertain, n.message_id, n.last_error
having n.order_id is null
    or count(distinct e.message_id) filter (where e.message_id is distinct from n.message_id)
       > n.uncertain + (n.state = 'sending' and n.last_error is null)::int
