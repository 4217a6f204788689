-- Names, e-mail and street stay in the one table that they can be erased from: no event, dead letter, note of a failure or journal has them, also as part of a text.
with haystack as (
    -- What other invariants hold equal to the order's own rows is left out. Nearly always
    -- nothing remains, which is what makes this cheap, and an order of one called Short is well.
    select e.order_id::text as order_id, 'event ' || e.name as place, convert_to(e.rest::text, 'UTF8') as content
    from (
        select e.order_id, e.name, e.data - array['order_id', 'number', 'lines', 'total', 'payment_id', 'short']
            - case e.name when 'order-shipped' then 'tracking_number' when 'order-cancelled' then 'reason' else '' end
            - case when e.name like 'order-returned/%' then array['return_number', 'refund', 'reason'] else '{}' end
            - case when e.data ->> 'carrier' = s.carrier then 'carrier' else '' end as rest
        from order_events e left join shipments s on s.order_id = e.order_id
        where e.data is not null
    ) e
    where e.rest <> '{}'
    union all
    select about.order_id, 'dead letter ' || d.id, d.event || ' '::bytea || convert_to(d.error_data, 'UTF8')
    from dead_letters d cross join lateral (values (d.subject), (split_part(d.event_id, '/', 1))) as about (order_id)
    union all
    select about.order_id, 'what was done about dead letter ' || d.id, convert_to(concat_ws(' ', a.reason, a.error), 'UTF8') || ' '::bytea || coalesce(a.data, '')
    from dead_letter_acts a join dead_letters d on d.id = a.letter_id
    cross join lateral (values (d.subject), (split_part(d.event_id, '/', 1))) as about (order_id)
    union all
    select n.order_id::text, 'mail ' || n.change, convert_to(n.last_error, 'UTF8')
    from notifications n
    where n.last_error is not null
    union all
    select order_id::text, 'journal', convert_to(reason, 'UTF8')
    from (select order_id, reason from money_transfers union all select order_id, reason from stock_transfers) j
    where reason is not null and order_id is not null
    union all
    select order_id::text, 'what was done to it', convert_to(concat_ws(' ', reference, reason), 'UTF8')
    from order_acts
    union all
    select split_part(subject, ' ', 2), 'repair', convert_to(reason, 'UTF8')
    from repairs
    where subject like 'order %'
), told as (
    select h.order_id, h.place, encode(h.content, 'escape') as content, encode(convert_to(secret.value, 'UTF8'), 'escape') as secret
    from haystack h
    join order_contacts c on c.order_id::text = h.order_id
    cross join lateral (values (c.name), (c.email), (c.line1), (c.line2)) as secret (value)
), words as (
    -- Compared word by word, so that one called Al is not found in every total. Escaped
    -- as bytes, as a dead letter may be anything; the first pattern is of JSON's own escapes, and a zero byte.
    select order_id, place,
           regexp_replace(' ' || lower(content) || ' ', '(\\+[bfnrt]|\\000|[^a-z0-9])+', ' ', 'g') as content,
           regexp_replace(' ' || lower(secret) || ' ', '[^a-z0-9]+', ' ', 'g') as secret
    from told
)
select distinct order_id, place
from words
where secret <> ' ' and strpos(content, secret) > 0
