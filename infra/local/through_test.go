package local_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// between stands between a caller and another process, and counts connections.
func between(t *testing.T, address string) (port int, count *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	count = &atomic.Int32{}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", address)
			if err != nil {
				from.Close()
				continue
			}
			count.Add(1)
			go func() { _, _ = io.Copy(to, from); to.Close() }()
			go func() { _, _ = io.Copy(from, to); from.Close() }()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port, count
}

// TestCallersGoThroughWhoeverStandsBetween has a function told other addresses, and
// an event go from one stage to the next with somebody on each way: also on that to
// the broker, who tells its clients its own address.
func TestCallersGoThroughWhoeverStandsBetween(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	ports, err := local.ProcessPorts(o)
	if err != nil {
		t.Fatal(err)
	}
	ways, counts := map[string]map[string]int{}, map[string]*atomic.Int32{}
	for _, way := range [][2]string{
		{"payment-verification", "postgres"}, {"payment-verification", "kafka-sink"}, {"payment-verification", "payment-provider"},
		{"kafka-sink", "broker"}, {"kafka-source", "broker"}, {"kafka-source", "order-cancellation"}, {"ping-source", "order-recovery"},
	} {
		port, count := between(t, ports.Host(way[1]))
		if ways[way[0]] == nil {
			ways[way[0]] = map[string]int{}
		}
		ways[way[0]][way[1]], counts[way[0]+" "+way[1]] = port, count
	}
	o.Through = ways
	system := localtest.Start(t, o)
	got := environment(t, system, "payment-verification")
	for target, name := range map[string]string{"postgres": "DATABASE_URL", "kafka-sink": "K_SINK", "payment-provider": "PAYMENT_PROVIDER_URL"} {
		i := slices.IndexFunc(got, func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
		if want := fmt.Sprintf(":%d", ways["payment-verification"][target]); i < 0 || !strings.Contains(got[i], want) {
			t.Errorf("payment-verification has not %s at %s: %q", name, want, got)
		}
	}
	if got := environment(t, system, "inventory-update"); !slices.Contains(got, "DATABASE_URL="+system.DatabaseURL()) {
		t.Errorf("inventory-update is told another address than its own: %q", got)
	}
	cancelOrder(t, system)
	localtest.Eventually(t, "order-cancellation gets the event", 15*time.Second, func() bool {
		log, _ := os.ReadFile(filepath.Join(o.State, "logs", "order-cancellation.log"))
		return strings.Contains(string(log), "order-cancellation got orderflow.order.cancelled.v1")
	})
	for _, way := range []string{"kafka-sink broker", "kafka-source broker", "kafka-source order-cancellation"} {
		if counts[way].Load() == 0 {
			t.Errorf("nobody came by on the way %s", way)
		}
	}
}

func TestDetoursThatNobodyTakes(t *testing.T) {
	t.Parallel()
	for _, through := range []map[string]map[string]int{
		{"nobody": {"postgres": 1}},
		{"inventory-update": {"nobody": 1}},
		{"inventory-update": {"inventory-update": 1}},
	} {
		o := options()
		o.Through = through
		if _, err := local.ProcessPorts(o); err == nil || !strings.Contains(err.Error(), "--through") {
			t.Errorf("%v: %v, want that it is refused", through, err)
		}
	}
}
