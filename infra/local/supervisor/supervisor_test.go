package supervisor_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal keeps what a supervisor tells.
type journal struct {
	mu          sync.Mutex
	lines, said []string
}

func (j *journal) line(name, line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, name+": "+line)
}

func (j *journal) say(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, text)
}

func (j *journal) count(line string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	count := 0
	for _, l := range j.lines {
		if l == line {
			count++
		}
	}
	return count
}

func start(t *testing.T, restart supervisor.Backoff, processes ...supervisor.Process) (*supervisor.Supervisor, *journal, string) {
	t.Helper()
	dir, told := t.TempDir(), &journal{}
	s, err := supervisor.New(supervisor.Options{
		RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "logs"),
		Line: told.line, Say: told.say, Restart: restart,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	for _, process := range processes {
		if err := s.Start(process); err != nil {
			t.Fatal(err)
		}
	}
	return s, told, dir
}

func quick() supervisor.Backoff {
	return supervisor.Backoff{First: 10 * time.Millisecond, Max: 40 * time.Millisecond, Reset: time.Hour}
}

func shell(name, script string) supervisor.Process {
	return supervisor.Process{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin", "GREETING=hello"}}
}

func pid(dir, name string) int {
	content, err := os.ReadFile(filepath.Join(dir, "run", name+".pid"))
	if err != nil {
		return 0
	}
	number, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return number
}

func alive(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) == nil }

func TestProcessHasItsEnvironmentOnly(t *testing.T) {
	t.Parallel()
	_, told, dir := start(t, quick(), shell("one", `env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; exec sleep 60`))
	localtest.Eventually(t, "the environment is shown", 5*time.Second, func() bool { return told.count("one: PATH=/usr/bin:/bin") == 1 })
	log, err := os.ReadFile(filepath.Join(dir, "logs", "one.log"))
	if want := "GREETING=hello\nPATH=/usr/bin:/bin\n"; err != nil || string(log) != want {
		t.Errorf("log = %q, %v, want %q", log, err, want)
	}
}

func TestKilledProcessComesBack(t *testing.T) {
	t.Parallel()
	s, told, dir := start(t, quick(), shell("one", "echo up; exec sleep 60"))
	localtest.Eventually(t, "it is up", 5*time.Second, func() bool { return told.count("one: up") == 1 })
	first := pid(dir, "one")
	if err := s.Kill("one"); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "it comes back", 5*time.Second, func() bool {
		now := pid(dir, "one")
		return now != first && alive(now) && told.count("one: up") == 2
	})
	if s.Ends("one") != 1 || len(told.said) != 1 || !strings.Contains(told.said[0], "signal: killed") {
		t.Errorf("Ends = %d, said %q: want one end that is told of once", s.Ends("one"), told.said)
	}
}

// TestHeldProcessStaysDown holds a process, kills it, and lets it go: it must not
// come back before.
func TestHeldProcessStaysDown(t *testing.T) {
	t.Parallel()
	s, told, dir := start(t, quick(), shell("one", "echo up; exec sleep 60"), shell("other", "echo up; exec sleep 60"))
	localtest.Eventually(t, "both are up", 5*time.Second, func() bool { return told.count("one: up") == 1 && told.count("other: up") == 1 })
	hold := filepath.Join(dir, "run", "one.hold")
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "other"} {
		if err := s.Kill(name); err != nil {
			t.Fatal(err)
		}
	}
	localtest.Eventually(t, "the other is killed often and comes back", 20*time.Second, func() bool {
		_ = s.Kill("other")
		return told.count("other: up") > 5
	})
	if told.count("one: up") != 1 || pid(dir, "one") != 0 {
		t.Error("it was started again while it was held")
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "it comes back", 5*time.Second, func() bool { return told.count("one: up") == 2 })
}

// TestPidIsWrittenWhenThereIsRoom starts a process while its pid can't be written.
func TestPidIsWrittenWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	s, told, dir := start(t, quick())
	path := filepath.Join(dir, "run", "one.pid")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(shell("one", "echo up; exec sleep 60")); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "it is up", 5*time.Second, func() bool { return told.count("one: up") == 1 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "its pid is known", 5*time.Second, func() bool { return alive(pid(dir, "one")) })
}

func TestPausesGrow(t *testing.T) {
	t.Parallel()
	s, told, _ := start(t, quick(), shell("one", "exit 3"))
	localtest.Eventually(t, "it ends five times", 5*time.Second, func() bool { return s.Ends("one") >= 5 })
	told.mu.Lock()
	defer told.mu.Unlock()
	for i, pause := range []string{"10ms", "20ms", "40ms", "40ms"} {
		if want := "one ended (exit status 3), starting it again in " + pause; told.said[i] != want {
			t.Errorf("said %q, want %q", told.said[i], want)
		}
	}
}

func TestStopGoesByTier(t *testing.T) {
	t.Parallel()
	slow, base := shell("slow", `trap 'sleep 0.2; echo bye; exit' TERM; echo up; while :; do sleep 0.05; done`), shell("base", `trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done`)
	slow.Tier = 1
	s, told, dir := start(t, quick(), base, slow)
	localtest.Eventually(t, "both are up", 5*time.Second, func() bool { return told.count("slow: up") == 1 && told.count("base: up") == 1 })
	s.Stop(t.Context())
	if i, j := slices.Index(told.lines, "slow: bye"), slices.Index(told.lines, "base: bye"); i < 0 || j < i {
		t.Errorf("lines = %q: want slow to be gone before base is told", told.lines)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "run", "*")); len(left) > 0 {
		t.Errorf("pid files are left: %v", left)
	}
	if err := s.Start(shell("late", "exec sleep 60")); err == nil {
		t.Error("a stopped supervisor starts another process")
	}
}

func TestStubbornProcessIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	stubborn := shell("stubborn", `trap '' TERM; sleep 60 & echo $!; wait; wait`)
	stubborn.Grace = 50 * time.Millisecond
	s, told, dir := start(t, quick(), stubborn)
	localtest.Eventually(t, "it is up", 5*time.Second, func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return len(told.lines) == 1
	})
	parent := pid(dir, "stubborn")
	child, _ := strconv.Atoi(strings.TrimPrefix(told.lines[0], "stubborn: "))
	s.Stop(t.Context())
	localtest.Eventually(t, "both are gone", 5*time.Second, func() bool { return !alive(parent) && !running(child) })
}

// running tells whether a process that is nobody's child here runs; one that
// has ended and waits for its parent to notice doesn't.
func running(pid int) bool {
	state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(state), ") Z ")
}

func TestProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	s, _, _ := start(t, quick())
	if err := s.Start(supervisor.Process{Name: "none", Path: "/nowhere/none"}); err == nil {
		t.Error("Start() of a program that isn't there is no error")
	}
	if err := s.Kill("none"); err == nil {
		t.Error("Kill() of a process that isn't there is no error")
	}
}

func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	_, told, _ := start(t, quick(), shell("one", `head -c 200000 /dev/zero | tr '\0' x; echo; echo end; exec sleep 60`))
	localtest.Eventually(t, "the end is shown", 5*time.Second, func() bool { return told.count("one: end") == 1 })
	if len(told.lines) < 3 {
		t.Errorf("200 kB without an end came as %d lines", len(told.lines)-1)
	}
}
