package supervisor_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

func TestRunDoesNotStartAgain(t *testing.T) {
	t.Parallel()
	s, told, _ := start(t, quick())
	if err := s.Run(t.Context(), shell("once", "echo $GREETING; exit 3")); err == nil || err.Error() != "exit status 3" {
		t.Errorf("Run() = %v, want how the process ended", err)
	}
	if told.count("once: hello") != 1 {
		t.Errorf("the process ran %d times, want once", told.count("once: hello"))
	}
	if err := s.Run(t.Context(), shell("nothing", "")); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, told, dir := start(t, quick())
	process := shell("asked", `trap 'echo bye; exit 0' INT; sleep 60 >/dev/null 2>&1 & echo $! >"`+filepath.Join(dir, "child")+`"; echo ready; wait`)
	process.StopSignal, process.Grace = syscall.SIGINT, 10*time.Second
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, process) }()
	localtest.Eventually(t, "the process is ready", 10*time.Second, func() bool { return told.count("asked: ready") == 1 })
	cancel()
	if err := <-ended; err != nil || told.count("asked: bye") != 1 {
		t.Errorf("Run() = %v, said bye %d times, want once", err, told.count("asked: bye"))
	}
	content, err := os.ReadFile(filepath.Join(dir, "child"))
	child, notNumber := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || notNumber != nil {
		t.Fatal(err, notNumber)
	}
	localtest.Eventually(t, "its child is gone", 10*time.Second, func() bool { return !alive(child) })
}

// TestRunSignalsTheGroup has a process that ends without passing the signal on
// to its child, as func run may.
func TestRunSignalsTheGroup(t *testing.T) {
	t.Parallel()
	s, told, _ := start(t, quick())
	process := shell("careless", `(trap 'echo child says bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done) & trap 'exit 0' TERM; wait`)
	process.SignalGroup = true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, process) }()
	localtest.Eventually(t, "the child is ready", 10*time.Second, func() bool { return told.count("careless: ready") == 1 })
	cancel()
	if err := <-ended; err != nil || told.count("careless: child says bye") != 1 {
		t.Errorf("Run() = %v, its child said bye %d times, want once", err, told.count("careless: child says bye"))
	}
}
