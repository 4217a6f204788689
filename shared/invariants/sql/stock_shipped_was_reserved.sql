-- The units shipped of an article are those that shipped orders had reserved.
select s.sku, s.shipped, coalesce(sum(r.quantity), 0) as shipped_by_orders
from stock s left join reservations r on r.sku = s.sku and r.state = 'shipped'
group by s.sku, s.shipped
having s.shipped <> coalesce(sum(r.quantity), 0)
