-- An order has reserved all its lines or none.
select l.order_id, l.sku, l.quantity, r.quantity as reserved
from order_lines l left join reservations r on r.order_id = l.order_id and r.sku = l.sku
where exists (select from reservations o where o.order_id = l.order_id) and r.quantity is distinct from l.quantity
union all
select r.order_id, r.sku, null, r.quantity
from reservations r left join order_lines l on l.order_id = r.order_id and l.sku = r.sku
where l.sku is null
