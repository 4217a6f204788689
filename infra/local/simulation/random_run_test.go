package simulation

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	flagOrders = flag.Int("orders", 5000, "how many orders to simulate")
	flagSeed   = flag.Uint64("seed", 1, "the seed of the first world; each other has the next one")
)

// TestMain spares the collector: worlds are short, and there is memory enough.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// Many orders that compete for stock, in one world after the other, each under a
// schedule and faults drawn from its seed.
func TestOrdersUnderFaults(t *testing.T) {
	t.Parallel()
	worlds := (*flagOrders + ordersOfWorld - 1) / ordersOfWorld
	began := time.Now()
	var next, steps, faults atomic.Int64
	var failed sync.Once
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(worlds) && !t.Failed(); i = next.Add(1) - 1 {
				out := play(t, *flagSeed+uint64(i), nil)
				steps.Add(int64(out.steps))
				faults.Add(int64(out.faults))
				if out.failure != nil {
					failed.Do(func() { report(t, *flagSeed+uint64(i), out.failure) })
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d orders in %d worlds from seed %d: %d steps, %d faults, %s",
		worlds*ordersOfWorld, worlds, *flagSeed, steps.Load(), faults.Load(), time.Since(began).Round(time.Second))
}

// The same seed is the same world: else a failure couldn't be looked at twice.
func TestSeedDecidesAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		var traces [2]strings.Builder
		for i := range traces {
			play(t, 1000+seed, func(line string) { traces[i].WriteString(line + "\n") })
		}
		if one, other := traces[0].String(), traces[1].String(); one != other {
			t.Fatalf("seed %d: two runs differ: %s", 1000+seed, difference(one, other))
		}
	}
}

func difference(one, other string) string {
	ones, others := strings.Split(one, "\n"), strings.Split(other, "\n")
	for i := range min(len(ones), len(others)) {
		if ones[i] != others[i] {
			return ones[i] + "\n  or " + others[i]
		}
	}
	return "one is longer"
}
