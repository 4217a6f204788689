package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// printResult tells it to people.
func printResult(w io.Writer, placed placements, ends outcome, took time.Duration) {
	accepted := len(placed.orders)
	fmt.Fprintf(w, "\n%d orders accepted in %s: %.1f orders/s\n", accepted, round(placed.took), perSecond(accepted, placed.took))
	fmt.Fprintf(w, "first placed to last ended: %s, %.1f orders/s; all done after %s\n",
		round(ends.lastAt.Sub(ends.firstAt)), perSecond(accepted, ends.lastAt.Sub(ends.firstAt)), round(took))
	fmt.Fprintf(w, "%-20s %s\n", "accepted within", percentiles(placed.answers))
	fmt.Fprintf(w, "%-20s %s\n\n", "placed to shipped", percentiles(ends.latencies))
	fmt.Fprintf(w, "%7d shipped\n", len(ends.latencies))
	for _, reason := range slices.Sorted(maps.Keys(ends.cancelled)) {
		fmt.Fprintf(w, "%7d cancelled: %s\n", ends.cancelled[reason], reason)
	}
	if open := accepted - len(ends.latencies) - ends.cancelledTotal(); open > 0 {
		fmt.Fprintf(w, "%7d NOT AT AN END\n", open)
	}
	if placed.refused > 0 {
		fmt.Fprintf(w, "%7d refused\n", placed.refused)
	}
}

func perSecond(n int, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

func percentiles(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	slices.Sort(all)
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  max %s",
		round(at(all, 0.50)), round(at(all, 0.90)), round(at(all, 0.99)), round(all[len(all)-1]))
}

// at is the nearest-rank percentile of sorted durations.
func at(sorted []time.Duration, share float64) time.Duration {
	rank := min(len(sorted)-1, int(share*float64(len(sorted))))
	return sorted[rank]
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
