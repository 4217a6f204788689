package e2e_test

import (
	"sync"
	"syscall"
	"testing"
)

// pause holds a process, as a machine that is out of breath would, until what it
// returns is called or the test ends.
func (s *system) pause(t *testing.T, name string) (resume func()) {
	t.Helper()
	pid := s.pid(name)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("pause %s: %v", name, err)
	}
	resume = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(resume)
	return resume
}
