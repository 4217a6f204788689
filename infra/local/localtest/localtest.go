// Package localtest starts the whole system for a test, with processes, ports
// and data of its own.
package localtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local"
)

// Build builds programs of this module into dir, which a test's Options take as
// Bin. Packages are paths seen from root, the project's folder.
func Build(root, dir string, packages ...string) error {
	for _, pkg := range packages {
		cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./"+pkg)
		cmd.Dir = filepath.Join(root, "infra", "local")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, output)
		}
	}
	return nil
}

// Options completes options for a test: with a state folder and ports of its own.
func Options(t *testing.T, options local.Options) local.Options {
	t.Helper()
	if options.State == "" {
		options.State = stateDir(t)
		t.Cleanup(func() { reset(t, options) })
	}
	if options.PortOffset == 0 {
		options.PortOffset = PortOffset(t)
	}
	return options
}

// stateDir is a folder that the user who runs Postgres for root may enter, which
// t.TempDir isn't, and that stays if the test fails.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderflow-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatalf("make state folder: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open state folder: %v", err)
	}
	return filepath.Join(dir, "state")
}

func reset(t *testing.T, options local.Options) {
	t.Helper()
	if t.Failed() {
		t.Logf("the system's data and logs are kept: %s", options.State)
		return
	}
	// A state that couldn't be made, or that a test has put a file in place of.
	if info, err := os.Stat(options.State); err == nil && info.IsDir() {
		if err := local.Reset(options); err != nil {
			t.Errorf("remove data: %v", err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(options.State)); err != nil {
		t.Errorf("remove state folder: %v", err)
	}
}

// Start starts the system and stops it when the test ends. The logs of a test
// that failed are shown.
func Start(t *testing.T, options local.Options) *local.System {
	t.Helper()
	options = Options(t, options)
	options.Say = func(text string) { t.Log("orderflow: " + text) }
	system, err := local.Start(t.Context(), options)
	if err != nil {
		t.Fatalf("start the system: %v", err)
	}
	t.Cleanup(system.Stop)
	return system
}

// Offsets are multiples of a hundred, at which no port of one system is a port
// of another, and stay below the ports that systems give to clients.
const (
	step         = 100
	firstOffset  = 10000
	offsets      = 120
	lowestBase   = 5433
	highestBase  = 9092
	commonBase   = 8080
	functionBase = 8101
)

// PortOffset finds an offset that nobody uses, and keeps it to the end of the
// test: also from tests in other processes.
func PortOffset(t *testing.T) int {
	t.Helper()
	start := rand.IntN(offsets)
	for i := range offsets {
		offset := firstOffset + (start+i)%offsets*step
		lock, taken := take(offset)
		if !taken {
			continue
		}
		if !free(offset) {
			_ = lock.Close()
			continue
		}
		t.Cleanup(func() {
			_ = os.Remove(lock.Name())
			_ = lock.Close()
		})
		return offset
	}
	t.Fatal("find free ports: none left")
	return 0
}

func take(offset int) (*os.File, bool) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("orderflow-port-offset-%d", offset))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, false
	}
	return file, true
}

// free looks at some of the ports; the start looks at all.
func free(offset int) bool {
	for _, base := range []int{lowestBase, commonBase, functionBase, highestBase} {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+offset))
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}

// Eventually waits for a condition that becomes true by itself.
func Eventually(t *testing.T, what string, limit time.Duration, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}
