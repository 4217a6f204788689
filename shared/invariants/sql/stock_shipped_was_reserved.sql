-- The units shipped of an article are those that shipped orders had reserved, and those that came back are of them.
select s.sku, s.shipped, coalesce(sum(r.quantity), 0) as shipped_by_orders, s.returned, coalesce(sum(r.returned), 0) as returned_by_orders
from stock s left join reservations r on r.sku = s.sku and r.state = 'shipped'
group by s.sku, s.shipped, s.returned
having s.shipped <> coalesce(sum(r.quantity), 0) or s.returned <> coalesce(sum(r.returned), 0)
