-- at rest: Every event was accepted by its sink.
select order_id, name, occurred_at
from order_events
where type is not null and published_at is null
