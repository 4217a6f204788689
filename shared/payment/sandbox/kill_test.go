package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

func isNotFound(err error) bool { return errors.Is(err, payment.ErrNotFound) }

func orderPrefix(run int) string { return fmt.Sprintf("run%d-", run) }

const childDir = "SANDBOX_TEST_DIR"

// TestMain is the provider's own process when a test asks for one to kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, serve(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	server, err := sandbox.New(sandbox.Options{Dir: dir, Key: key})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, server)
}

// startProcess returns the address and the way to kill it.
func startProcess(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start provider: %v", err)
	}
	return "http://" + strings.TrimSpace(line), func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed, and says so
	}
}

// TestKilledWhileBusy kills the provider with requests under way: what it had
// answered is there afterwards, and what it had not is safe to ask again.
func TestKilledWhileBusy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, kill := startProcess(t, dir)
	client := payment.NewClient(url, key, nil)

	answered := authoriseUntil(t, client, 200, kill)

	url, kill = startProcess(t, dir)
	defer kill()
	client = payment.NewClient(url, key, nil)
	for order, want := range answered {
		got, err := client.Find(t.Context(), order)
		if err != nil || got != want {
			t.Fatalf("Find(%s) = %+v, %v, before the kill %+v", order, got, err, want)
		}
	}
	for order := range answered {
		if again, err := client.Authorise(t.Context(), visa(order)); err != nil || again != answered[order] {
			t.Fatalf("Authorise(%s) again = %+v, %v, want the first answer", order, again, err)
		}
	}
	checkLedger(t, client)
}

// authoriseUntil authorises from many sides, kills after a number of answers,
// and returns the answers that came.
func authoriseUntil(t *testing.T, client *payment.Client, enough int, kill func()) map[string]payment.Payment {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	answered := map[string]payment.Payment{}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				order := fmt.Sprintf("w%d-%d", worker, i)
				got, err := client.Authorise(ctx, visa(order))
				if err != nil {
					return
				}
				mu.Lock()
				answered[order] = got
				if len(answered) == enough {
					kill()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answered
}

func BenchmarkAuthorise(b *testing.B) {
	p := start(b)
	b.SetParallelism(32)
	var mu sync.Mutex
	n := 0
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			order := fmt.Sprintf("order-%012d", n)
			mu.Unlock()
			if _, err := p.Authorise(b.Context(), visa(order)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "authorisations/s")
}
