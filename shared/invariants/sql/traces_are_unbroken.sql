-- An event continues the trace of its cause; what a person did begins one of its own. Of an order either all events have a trace or none has.
select e.order_id, e.name, e.cause, e.traceparent, before.name as before, before.traceparent as trace_before
from order_events e
join order_events before on before.order_id = e.order_id and before.name = coalesce(e.cause, 'order-placed')
where e.type is not null
  and ((e.traceparent = '') <> (before.traceparent = '')
    or (e.cause is not null and split_part(e.traceparent, '-', 2) <> split_part(before.traceparent, '-', 2)))
