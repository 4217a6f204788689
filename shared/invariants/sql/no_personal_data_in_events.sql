-- Names, e-mail and street stay in the one table that they can be erased from.
select e.order_id, e.name
from order_events e join order_contacts c on c.order_id = e.order_id
where e.data is not null and (
    strpos(lower(e.data::text), lower(c.email)) > 0 or strpos(e.data::text, to_jsonb(c.name)::text) > 0
    or strpos(e.data::text, to_jsonb(c.line1)::text) > 0)
