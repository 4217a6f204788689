package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is what to run and how to end it.
type Process struct {
	Name string
	Path string
	Args []string
	// Env is the whole environment: a process inherits nothing.
	Env []string
	Dir string
	// Tier orders the stop: higher tiers are gone before lower ones are told.
	Tier int
	// StopSignal is SIGTERM if unset.
	StopSignal syscall.Signal
	// SignalGroup has the process's children get the stop signal too, as Ctrl-C
	// at a terminal does: for a process that doesn't wait for them.
	SignalGroup bool
	// DeathSignal is sent by the kernel when the supervisor dies; SIGKILL if unset.
	DeathSignal syscall.Signal
	// Grace is how long the process may take to stop; 5 s if unset.
	Grace time.Duration
	// User is the user to run as; nil for the supervisor's own.
	User *syscall.Credential
}

// child is one process, over all its lives.
type child struct {
	process Process
	options Options
	log     *logFile

	ending  chan struct{} // closed: don't start again
	endOnce sync.Once
	gone    chan struct{} // closed: not running, and never again
	ends    atomic.Int32

	mu  sync.Mutex
	pid int // 0 while not running
}

func newChild(process Process, options Options) (*child, error) {
	if process.StopSignal == 0 {
		process.StopSignal = syscall.SIGTERM
	}
	if process.DeathSignal == 0 {
		process.DeathSignal = syscall.SIGKILL
	}
	if process.Grace == 0 {
		process.Grace = 5 * time.Second
	}
	log, err := openLog(filepath.Join(options.LogDir, process.Name+".log"))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", process.Name, err)
	}
	return &child{
		process: process, options: options, log: log,
		ending: make(chan struct{}), gone: make(chan struct{}),
	}, nil
}

// keep runs the process again and again. The first start's result goes to
// started; if that fails there is no second.
func (c *child) keep(started chan<- error) {
	// The kernel ties the death signal to the thread that started the process,
	// so that thread must live as long as this function does.
	runtime.LockOSThread()
	defer close(c.gone)
	defer c.log.Close() //nolint:errcheck // a log that fails is no reason for anything

	var pause time.Duration
	for first := true; ; first = false {
		began := time.Now()
		cmd, err := c.start()
		if first {
			started <- err
			if err != nil {
				return
			}
		}
		if err == nil {
			err = c.wait(cmd)
		}
		pause = c.options.Restart.next(pause, time.Since(began))
		if !c.sleep(pause, err) {
			return
		}
	}
}

func (c *child) start() (*exec.Cmd, error) {
	cmd := exec.Command(c.process.Path, c.process.Args...)
	cmd.Env = c.process.Env
	cmd.Dir = c.process.Dir
	cmd.SysProcAttr = attributes(c.process)
	output := &lineWriter{name: c.process.Name, line: c.options.Line, log: c.log}
	cmd.Stdout, cmd.Stderr = output, output
	// Grandchildren may hold the pipe a little longer than the process lives.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.setPid(cmd.Process.Pid)
	if c.isEnding() {
		// Stop may have come too early to find a process it could signal.
		_ = c.signal(c.process.StopSignal)
	}
	return cmd, nil
}

func (c *child) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	c.setPid(0)
	// Whatever the process left in its group must not outlive it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return err
}

func (c *child) setPid(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = pid
	path := filepath.Join(c.options.RunDir, c.process.Name+".pid")
	if pid == 0 {
		_ = os.Remove(path)
		return
	}
	if err := c.writePid(path); err != nil {
		c.options.Say(fmt.Sprintf("write pid of %s: %v, trying on", c.process.Name, err))
		time.AfterFunc(pidAgain, func() { c.writeLater(path, pid) })
	}
}

// pidAgain is how long to wait before a pid is written again.
const pidAgain = time.Second

// writeLater writes the pid of a process that was started while the disk was full:
// else nobody would find it until its next life.
func (c *child) writeLater(path string, pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == pid && c.writePid(path) != nil {
		time.AfterFunc(pidAgain, func() { c.writeLater(path, pid) })
	}
}

func (c *child) writePid(path string) error {
	return os.WriteFile(path, []byte(strconv.Itoa(c.pid)+"\n"), 0o600)
}

// sleep waits before the next life, for as long as the process is held, and tells
// whether there is to be one.
func (c *child) sleep(pause time.Duration, ended error) bool {
	if c.isEnding() {
		return false
	}
	c.ends.Add(1)
	c.options.Say(fmt.Sprintf("%s ended (%s), starting it again in %s", c.process.Name, reason(ended), pause))
	if !c.pause(pause) {
		return false
	}
	for c.held() {
		if !c.pause(lookAtHold) {
			return false
		}
	}
	return true
}

// lookAtHold is how often to see whether a process may be started again.
const lookAtHold = 100 * time.Millisecond

// held tells whether somebody keeps the process down, to see what happens
// without it or to do something to its files.
func (c *child) held() bool {
	_, err := os.Stat(filepath.Join(c.options.RunDir, c.process.Name+".hold"))
	return err == nil
}

// pause tells whether there is a life after it.
func (c *child) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.ending:
		return false
	case <-timer.C:
		return true
	}
}

func reason(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (c *child) dontRestart() {
	c.endOnce.Do(func() { close(c.ending) })
}

func (c *child) isEnding() bool {
	select {
	case <-c.ending:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and after its grace makes it.
func (c *child) stop(ctx context.Context) {
	c.dontRestart()
	_ = c.signal(c.process.StopSignal)
	grace := time.NewTimer(c.process.Grace)
	defer grace.Stop()
	select {
	case <-c.gone:
		return
	case <-ctx.Done():
	case <-grace.C:
	}
	c.options.Say(fmt.Sprintf("%s did not stop, killing it", c.process.Name))
	_ = c.kill()
	<-c.gone
}

func (c *child) kill() error {
	return c.signal(syscall.SIGKILL)
}

var errNotRunning = errors.New("not running")

func (c *child) signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == 0 {
		return fmt.Errorf("signal %s: %w", c.process.Name, errNotRunning)
	}
	pid := c.pid
	if c.process.SignalGroup {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signal %s: %w", c.process.Name, err)
	}
	return nil
}
