package function

import (
	"bufio"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// crowd is how many customers watch at once, and watched how many orders.
	crowd   = 1000
	watched = 100
	// prompt is how soon news must be with 99 of 100 of them.
	prompt = 250 * time.Millisecond
)

// TestThousandWatchers has a crowd on one process, and times how long a change takes
// from its commit to each of those who wait for it.
func TestThousandWatchers(t *testing.T) { //nolint:paralleltest // what is timed has the machine to itself, as far as tests go
	// As in production: a heartbeat of a test's pace is a load of its own.
	s := open(t, nil, func(f *Storefront) { f.pace.Heartbeat = 15 * time.Second })
	orders := make([]placed, watched)
	for i := range orders {
		orders[i] = s.mustOrder(wanted)
	}
	arrivals := make([]chan time.Time, watched)
	before := heap()
	for i, order := range orders {
		arrivals[i] = make(chan time.Time, crowd/watched)
		for range crowd / watched {
			s.spectate(order, arrivals[i])
		}
	}
	await(t, "the crowd", func() bool { return s.hub().Watched() == crowd })
	perWatcher := (heap() - before) / crowd
	const listeners = `select count(*) from pg_stat_activity where datname = current_database() and query like 'listen%'`
	if count := s.count(listeners); count != 1 {
		t.Errorf("%d connections listen for %d watchers, want 1", count, crowd)
	}
	var delays []time.Duration
	for i, order := range orders {
		s.happen(order, "payment-verified", true)
		committed := time.Now()
		for range crowd / watched {
			select {
			case at := <-arrivals[i]:
				delays = append(delays, at.Sub(committed))
			case <-time.After(patience):
				t.Fatalf("order %d: no news in %s", i, patience)
			}
		}
	}
	slices.Sort(delays)
	p99 := delays[len(delays)*99/100]
	if p99 > prompt {
		t.Errorf("p99 from commit to page is %s, want at most %s", p99, prompt)
	}
	t.Logf("%d watchers, %d changes, %d deliveries: p50 %s, p99 %s, most %s; %d KB of heap per watcher, both ends",
		crowd, watched, len(delays), delays[len(delays)/2], p99, delays[len(delays)-1], perWatcher/1024)
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// spectate watches an order, and says when the order's second status came.
func (s *shop) spectate(order placed, arrived chan<- time.Time) {
	s.t.Helper()
	response, err := s.server.Client().Do(s.request(http.MethodGet, order.Links.Events, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("watch = %d", response.StatusCode)
	}
	go func() {
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") && strings.Contains(lines.Text(), `"status":"payment_verified"`) {
				arrived <- time.Now()
				return
			}
		}
	}()
}
