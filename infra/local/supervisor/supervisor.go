// Package supervisor keeps processes running, the way a kubelet keeps pods: a
// process that ends is started again after a pause that grows, each has its own
// environment and process group, and none outlives the supervisor.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
)

// Options say where a supervisor keeps its files and whom it tells.
type Options struct {
	// RunDir gets a file <name>.pid for each running process. While somebody has
	// put a file <name>.hold beside it, a process that has ended stays down.
	RunDir string
	// LogDir gets a file <name>.log for each process.
	LogDir string
	// Line is given every line a process writes, from several goroutines.
	Line func(name, line string)
	// Say is told what the supervisor does that nobody asked for.
	Say func(text string)
	// Restart is the pause before a process is started again.
	Restart Backoff
}

// Supervisor starts, restarts and stops processes.
type Supervisor struct {
	options Options

	mu       sync.Mutex
	stopping bool
	children []*child
}

// New makes a supervisor with no processes. Its folders are made as needed.
func New(options Options) (*Supervisor, error) {
	for _, dir := range []string{options.RunDir, options.LogDir} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	if options.Line == nil {
		options.Line = func(string, string) {}
	}
	if options.Say == nil {
		options.Say = func(string) {}
	}
	if options.Restart == (Backoff{}) {
		options.Restart = DefaultBackoff()
	}
	return &Supervisor{options: options}, nil
}

// errStopping is what starting a process while all are being stopped answers.
var errStopping = errors.New("the system is stopping")

// Start starts a process and keeps it running until Stop. An error means that
// it could not be started even once.
func (s *Supervisor) Start(process Process) error {
	c, err := newChild(process, s.options)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	started := make(chan error, 1)
	go c.keep(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", process.Name, err)
	}
	s.children = append(s.children, c)
	return nil
}

// Kill sends SIGKILL to a process, as a test that wants to see it come back.
func (s *Supervisor) Kill(name string) error {
	c := s.child(name)
	if c == nil {
		return fmt.Errorf("kill %s: no such process", name)
	}
	return c.kill()
}

// Ends tells how often a process has ended by itself.
func (s *Supervisor) Ends(name string) int {
	c := s.child(name)
	if c == nil {
		return 0
	}
	return int(c.ends.Load())
}

func (s *Supervisor) child(name string) *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.children, func(c *child) bool { return c.process.Name == name })
	if i < 0 {
		return nil
	}
	return s.children[i]
}

// Names lists the processes in the order they were started.
func (s *Supervisor) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.children))
	for _, c := range s.children {
		names = append(names, c.process.Name)
	}
	return names
}

// Stop ends all processes, the highest tier first, and waits until they are
// gone. Whoever is not gone after its grace, or when ctx ends, is killed.
func (s *Supervisor) Stop(ctx context.Context) {
	for _, tier := range s.tiersToStop() {
		var stopped sync.WaitGroup
		for _, c := range tier {
			stopped.Go(func() { c.stop(ctx) })
		}
		stopped.Wait()
	}
}

// tiersToStop forbids further starts and groups the children by tier.
func (s *Supervisor) tiersToStop() [][]*child {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	byTier := map[int][]*child{}
	for _, c := range s.children {
		c.dontRestart()
		byTier[c.process.Tier] = append(byTier[c.process.Tier], c)
	}
	var tiers [][]*child
	for _, tier := range slices.Backward(slices.Sorted(maps.Keys(byTier))) {
		tiers = append(tiers, byTier[tier])
	}
	return tiers
}
