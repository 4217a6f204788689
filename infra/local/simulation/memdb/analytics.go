package memdb

import (
	"cmp"
	"slices"
	"time"
)

type minuteKey struct {
	minute            instant
	metric, dimension string
	shard             int16
}

func analyticsStatements() []statement {
	return []statement{{"order-analytics AddCounts", "ec0f39125e23", addCounts}}
}

func addCounts(tx *Tx, args []any) (result, error) {
	minute, shard := stored(arg[time.Time](args, 0)), arg[int16](args, 1)
	metrics, dimensions, amounts := arg[[]string](args, 2), arg[[]string](args, 3), arg[[]int64](args, 4)
	added := map[minuteKey]int64{}
	var keys []minuteKey
	for i := range metrics {
		known := oneOf(metrics[i], "orders_placed", "orders_shipped", "orders_cancelled", "items_sold", "revenue", "items_returned", "refunded")
		if !known {
			return result{}, violation(check, "metric_is_known")
		}
		key := minuteKey{minute, metrics[i], dimensions[i], shard}
		keys, added[key] = append(keys, key), added[key]+amounts[i]
	}
	slices.SortFunc(keys, func(a, b minuteKey) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.dimension, b.dimension))
	})
	for _, key := range keys {
		if err := tx.db.minutes.lock(tx, key); err != nil {
			return result{}, err
		}
	}
	for _, key := range keys {
		old, _ := tx.db.minutes.get(tx, key)
		tx.db.minutes.set(key, old+added[key])
	}
	return changed(len(keys))
}
