-- A mail is refused only for its recipient: the contact was erased, or its address is none that can be written to.
select n.order_id, n.change, n.refused_for, n.last_error
from notifications n
left join order_contacts c on c.order_id = n.order_id
where n.state = 'refused'
  and (n.refused_for is null or n.refused_for = 'mail_refused'
       or (n.refused_for = 'contact_erased' and c.order_id is not null))
