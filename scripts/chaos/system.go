package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names of processes that are treated in a way of their own.
const (
	processBroker   = "broker"
	processSource   = "kafka-source"
	processSink     = "kafka-sink"
	processPing     = "ping-source"
	processPostgres = "postgres"
	processPayment  = "payment-provider"
	processMailbox  = "mailbox"
	processS3       = "s3"
)

// system is the system under the storm: a command that runs it, and what can be
// known of it from the outside.
type system struct {
	options   options
	dir       string // everything is in it
	ports     map[string]int
	functions []string
	env       map[string]string

	command *exec.Cmd
	ended   chan struct{}
}

func (s *system) state() string { return filepath.Join(s.dir, "state") }

// bin has copies of the programs: they are exchanged while the system runs.
func (s *system) bin(program string) string { return filepath.Join(s.dir, "bin", program) }

func (s *system) run(name string) string { return filepath.Join(s.state(), "run", name) }

// address is where a process listens.
func (s *system) address(process string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[process]))
}

// newSystem makes the folders, copies the programs and asks where processes will be.
func newSystem(ctx context.Context, o options) (*system, error) {
	s := &system{options: o, dir: o.Dir}
	if s.dir == "" {
		// Not the machine's folder for what is temporary: the user who runs Postgres
		// for root has to get in, and what is found is to stay.
		dir, err := os.MkdirTemp("/var/tmp", "orderflow-chaos-")
		if err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		s.dir = dir
	}
	for _, dir := range []string{s.dir, s.state(), s.bin("")} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("open folder: %w", err)
	}
	for _, program := range []string{"orderflow", "function"} {
		if err := copyProgram(filepath.Join(o.Bin, program), s.bin(program)); err != nil {
			return nil, err
		}
	}
	return s, s.findProcesses(ctx)
}

// findProcesses asks the system what it will run, and where.
func (s *system) findProcesses(ctx context.Context) error {
	printed, err := s.orderflow(ctx, "ports", "--root", s.options.Root, "--state", s.state(), "--port-offset", strconv.Itoa(s.options.PortOffset)).Output()
	if err != nil {
		return fmt.Errorf("orderflow ports: %w", reason(err))
	}
	if err := json.Unmarshal(printed, &s.ports); err != nil {
		return fmt.Errorf("orderflow ports: %w", err)
	}
	for name := range s.ports {
		if _, err := os.Stat(filepath.Join(s.options.Root, "functions", name, "func.yaml")); err == nil {
			s.functions = append(s.functions, name)
		}
	}
	slices.Sort(s.functions)
	return nil
}

// processes are all that can be killed.
func (s *system) processes() []string {
	return slices.Sorted(maps.Keys(mapWith(s.ports, processSource, processPing)))
}

func mapWith(ports map[string]int, names ...string) map[string]int {
	all := maps.Clone(ports)
	for _, name := range names {
		all[name] = 0
	}
	return all
}

// reads tells whether a function is given a setting.
func (s *system) reads(function, setting string) bool {
	text, err := os.ReadFile(filepath.Join(s.options.Root, "functions", function, "func.yaml"))
	return err == nil && bytes.Contains(text, []byte("- name: "+setting+"\n"))
}

func (s *system) orderflow(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, s.bin("orderflow"), args...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	return command
}

// startTimeout bounds the start; a machine that does much else takes its time.
const startTimeout = 3 * time.Minute

// start runs the system and waits until it says that it is ready.
func (s *system) start(ctx context.Context, through string) error {
	args := []string{
		"run", "--root", s.options.Root, "--state", s.state(), "--port-offset", strconv.Itoa(s.options.PortOffset),
		"--set", "RECOVER_UNHANDLED_AFTER=" + s.options.unhandledAfter().String(), "--set", "RECOVER_AFTER=" + unpublishedAfter.String(),
	}
	if through != "" {
		args = append(args, "--through", through)
	}
	output, err := os.Create(filepath.Join(s.dir, "orderflow.log"))
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	defer output.Close()                                         //nolint:errcheck // the command has its own
	s.command = s.orderflow(context.WithoutCancel(ctx), args...) // it is stopped at the end, when ctx may be over
	s.command.Stdout, s.command.Stderr, s.command.SysProcAttr = output, output, tied()
	if err := s.command.Start(); err != nil {
		return fmt.Errorf("start the system: %w", err)
	}
	s.ended = make(chan struct{})
	go func() { defer close(s.ended); _ = s.command.Wait() }()
	return s.awaitStart(ctx, output.Name())
}

func (s *system) awaitStart(ctx context.Context, log string) error {
	err := eventually(ctx, startTimeout, func() bool {
		text, _ := os.ReadFile(log)
		select {
		case <-s.ended:
			return true
		default:
			return bytes.Contains(text, []byte("Orderflow is ready"))
		}
	})
	select {
	case <-s.ended:
		text, _ := os.ReadFile(log)
		return fmt.Errorf("the system doesn't start: %s", text)
	default:
	}
	if err != nil {
		return fmt.Errorf("wait for the system: %w: see %s", err, log)
	}
	s.env, err = s.readEnvironment(ctx)
	return err
}

// readEnvironment asks how to reach the system.
func (s *system) readEnvironment(ctx context.Context) (map[string]string, error) {
	printed, err := s.orderflow(ctx, "env", "--state", s.state()).Output()
	if err != nil {
		return nil, fmt.Errorf("orderflow env: %w", reason(err))
	}
	env := map[string]string{}
	for line := range strings.Lines(string(printed)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			env[name] = strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'")
		}
	}
	return env, nil
}

// stop ends the system.
func (s *system) stop() {
	if s.command == nil || s.command.Process == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.command.Process.Kill()
		<-s.ended
	}
}

// tool runs one of the project's programs against the system.
func (s *system) tool(ctx context.Context, path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, args...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range s.env {
		command.Env = append(command.Env, name+"="+value)
	}
	return command
}

// pid is 0 while the process isn't running.
func (s *system) pid(name string) int {
	content, err := os.ReadFile(s.run(name + ".pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return pid
}

// hold keeps a process down once it has ended, until it is released.
func (s *system) hold(name string) error { return os.WriteFile(s.run(name+".hold"), nil, 0o600) }

func (s *system) release(name string) { _ = os.Remove(s.run(name + ".hold")) }

// up tells whether a process does its work, as far as that can be seen.
func (s *system) up(ctx context.Context, name string) bool {
	if s.pid(name) == 0 {
		return false
	}
	if slices.Contains(s.functions, name) {
		return answers(ctx, "http://"+s.address(name)+"/health/readiness")
	}
	if s.ports[name] == 0 {
		return true
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address(name))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

const answerTimeout = 2 * time.Second

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// lookEvery is how often to look whether something has happened.
const lookEvery = 50 * time.Millisecond

// eventually waits until something is so.
func eventually(ctx context.Context, limit time.Duration, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, ctx.Err())
		}
	}
	return nil
}

// pause waits, and tells whether there is anything to go on with.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reason is an error with what the command wrote about it.
func reason(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// copyProgram copies a program. It appears all at once, in place of another that
// may be running.
func copyProgram(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy program: %w (make chaos builds it)", err)
	}
	if err := os.WriteFile(to+".new", content, 0o755); err != nil { //nolint:gosec // a program
		return fmt.Errorf("copy program: %w", err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	return nil
}
