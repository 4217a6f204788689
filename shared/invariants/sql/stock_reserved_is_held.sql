-- The units reserved of an article are those that orders hold.
select s.sku, s.reserved, coalesce(sum(r.quantity), 0) as held
from stock s left join reservations r on r.sku = s.sku and r.state = 'held'
group by s.sku, s.reserved
having s.reserved <> coalesce(sum(r.quantity), 0)
