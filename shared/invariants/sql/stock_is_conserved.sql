-- What came in or back, and what counting has found or lost, is still there or was shipped, for every article.
select sku, opening, received, adjusted, returned, on_hand, shipped
from stock
where opening + received + adjusted + returned <> on_hand + shipped or on_hand < 0 or reserved < 0 or reserved > on_hand
