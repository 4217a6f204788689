package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// TestLoad places many orders: at a pace, as fast as they are taken, and while
// processes are killed.
func TestLoad(t *testing.T) {
	s := startSystem(t)
	t.Run("steady", func(t *testing.T) {
		s.simulate(t, fmt.Sprintf("--orders=%d", max(100, orders(t)/5)), "--rate=20")
	})
	t.Run("fast", func(t *testing.T) {
		s.simulate(t, fmt.Sprintf("--orders=%d", orders(t)), "--rate=0", "--seed=2")
		s.audit(t)
	})
	t.Run("killed", func(t *testing.T) {
		s.surviveKills(t)
		s.audit(t)
	})
	if s.kafka != nil {
		t.Run("Kafka killed", func(t *testing.T) {
			s.surviveKafka(t)
			s.audit(t)
		})
	}
	t.Run("memory", func(t *testing.T) { reportMemory(t, s) })
	t.Run("nothing personal", func(t *testing.T) { nothingPersonal(t, s) })
}

// simulate runs the customers, all of whom must get an order with an end.
func (s *system) simulate(t *testing.T, args ...string) {
	t.Helper()
	result, err := s.program(t.Context(), "simulate", args...)
	t.Logf("simulate %s\n%s", strings.Join(args, " "), strings.TrimSpace(result))
	if err != nil {
		t.Fatalf("simulate: %v", err)
	}
	if !regexp.MustCompile(`(?m)^\s*[1-9]\d* shipped$`).MatchString(result) {
		t.Error("nothing was shipped")
	}
}

// maxStorms is how often the customers come again while there is a process that
// hasn't been killed: about every second one is, of nearly twenty.
const maxStorms = 8

// surviveKills has customers order while one process after the other is killed,
// until each was, while orders were on their way.
func (s *system) surviveKills(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	db, open := s.database(t), s.openPorts()
	kills := s.killEverySecond(t, ctx)
	for storm := 1; ; storm++ {
		s.simulate(t, fmt.Sprintf("--orders=%d", orders(t)), "--rate=50", fmt.Sprintf("--seed=%d", 2+storm), "--wait=5m")
		spared := kills.spared()
		if len(spared) > 0 && storm < maxStorms {
			continue
		}
		cancel()
		t.Logf("killed in %d storms: %v", storm, kills.end())
		if len(spared) > 0 {
			t.Errorf("never killed: %s", strings.Join(spared, ", "))
		}
		localtest.Eventually(t, "who was killed last is back", time.Minute, func() bool {
			return slices.Equal(s.openPorts(), open) && db.Ping(t.Context()) == nil
		})
		return
	}
}

// kafkaKills is how often Kafka is killed while customers order.
const kafkaKills = 4

// surviveKafka has customers order while Kafka is killed, and killed again as
// soon as it is back and orders have moved on.
func (s *system) surviveKafka(t *testing.T) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := s.program(t.Context(), "simulate", fmt.Sprintf("--orders=%d", 4*orders(t)), "--rate=50", "--seed=20", "--wait=5m")
		ended <- err
	}()
	db := s.database(t)
	shipped := func() (count int) {
		_ = db.QueryRow(t.Context(), `select count(*) from orders where status = 'shipped'`).Scan(&count)
		return count
	}
	for range kafkaKills {
		before := shipped()
		localtest.Eventually(t, "orders ship", time.Minute, func() bool { return shipped() > before+orders(t)/20 })
		s.kafka.Kill(t)
	}
	if len(ended) > 0 {
		t.Error("the customers had gone before the last kill, which proves nothing")
	}
	if err := <-ended; err != nil {
		t.Errorf("simulate: %v", err)
	}
}

// kills counts how often each process was killed.
type kills struct {
	mu     sync.Mutex
	counts map[string]int
	ended  chan struct{}
}

// spared are those that weren't killed yet.
func (k *kills) spared() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name, count := range k.counts {
		if count == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// end waits until nobody is killed any more, and says how many of each were.
func (k *kills) end() map[string]int {
	<-k.ended
	return k.counts
}

// killEverySecond kills one process after the other, databases and brokers too,
// until ctx ends.
func (s *system) killEverySecond(t *testing.T, ctx context.Context) *kills {
	t.Helper()
	k := &kills{counts: map[string]int{}, ended: make(chan struct{})}
	for name := range s.processes(t) {
		k.counts[name] = 0
	}
	names := slices.Sorted(maps.Keys(k.counts))
	go func() {
		defer close(k.ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for turn := 0; ; turn++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			name := names[turn%len(names)]
			if victim := s.pid(name); victim > 0 && running(victim) && syscall.Kill(victim, syscall.SIGKILL) == nil {
				k.mu.Lock()
				k.counts[name]++
				k.mu.Unlock()
			}
		}
	}()
	return k
}
