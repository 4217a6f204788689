package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

// FunctionRun says which function the func CLI is to run.
type FunctionRun struct {
	Function string
	// Invocation is what it will be called with, which its order is made ready for.
	Invocation Invocation
	// CLI is the func program.
	CLI string
	// Port is where the function listens; 0 for 8080, or another if that is taken.
	Port int
}

// ProcessFunc is the name of the func CLI's process, for Options.Line.
const ProcessFunc = "func"

const (
	portFunc = 8080
	// funcGrace is more than the 5 s that func gives to the function.
	funcGrace = 7 * time.Second
)

// RunFunction runs one function by func run until ctx ends, with what it needs
// around it: a Postgres with the order of the examples, the payment provider,
// the mailbox and S3, and for functions that send events on their own a sink.
// All of that is its own, on ports that are free, and goes when it ends.
func RunFunction(ctx context.Context, options Options, run FunctionRun) error {
	options, err := options.complete()
	if err != nil {
		return err
	}
	databaseURL, endDatabase, err := DisposablePostgres(ctx, options)
	if err != nil {
		return err
	}
	defer endDatabase()
	options.State, err = os.MkdirTemp("", "orderflow-function-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(options.State) //nolint:errcheck // nothing depends on it
	options.DatabaseURL, options.freePorts = databaseURL, true
	system, err := openAround(ctx, options)
	if err != nil {
		return err
	}
	defer system.Stop() //nolint:contextcheck // ctx has ended: stopping has a time of its own
	return system.runFunction(ctx, run)
}

// openAround opens a system that starts nothing by itself.
func openAround(ctx context.Context, options Options) (*System, error) {
	plan, err := newPlan(options)
	if err != nil {
		return nil, err
	}
	lock, err := lockState(options.State)
	if err != nil {
		return nil, err
	}
	system, err := open(ctx, plan, lock)
	if err != nil {
		lock.release()
	}
	return system, err
}

func (s *System) runFunction(ctx context.Context, run FunctionRun) error {
	i := slices.IndexFunc(s.plan.functions, func(f manifest.Function) bool { return f.Name == run.Function })
	if i < 0 {
		return fmt.Errorf("there is no function %q", run.Function)
	}
	f := s.plan.functions[i]
	if err := s.plan.listenAt(f.Name, run.Port); err != nil {
		return err
	}
	if err := s.prepare(ctx, run.Invocation); err != nil {
		return err
	}
	process, err := s.plan.byFunc(f, run)
	if err != nil {
		return err
	}
	if run.Invocation.Event == nil {
		s.plan.Say("at " + s.plan.addresses.URL(f.Name) + ", operators' password " + s.plan.secrets["BACKOFFICE_PASSWORD"] +
			", programs' token " + s.plan.secrets["BACKOFFICE_TOKEN"])
	}
	s.plan.Step("func run " + f.Name)
	return s.supervisor.Run(ctx, process)
}

// listenAt moves a function to a port, and with it what others are told of it.
func (p *plan) listenAt(function string, port int) error {
	if port == 0 {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(portFunc)))
		if err != nil {
			return nil //nolint:nilerr // taken: it keeps the free port it has
		}
		if err := listener.Close(); err != nil {
			return fmt.Errorf("try port %d: %w", portFunc, err)
		}
		port = portFunc
	}
	p.addresses[function] = port
	var err error
	p.values, err = p.configMap()
	return err
}

// prepare starts what a function needs, and brings the database to where the
// function finds it.
func (s *System) prepare(ctx context.Context, invocation Invocation) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := errors.Join(s.startDatabase(ctx), s.startServices(ctx)); err != nil {
		return err
	}
	if !invocation.answersEvents() {
		if err := s.startKafka(ctx); err != nil {
			return err
		}
	}
	return s.bringOrder(ctx, invocation)
}

// byFunc is the process of func run. The variables of func.yaml come by
// arguments, the only way there is; they are of no worth to others.
func (p *plan) byFunc(f manifest.Function, run FunctionRun) (supervisor.Process, error) {
	process, err := p.unbound(f)
	if err != nil {
		return process, err
	}
	environment := process.Env
	if !run.Invocation.answersEvents() {
		environment = append(environment, p.binding(f)...)
	}
	args := []string{"run", "--builder=host", "--address=" + p.addresses.Host(f.Name)}
	for _, variable := range environment {
		args = append(args, "--env="+variable)
	}
	program, err := filepath.Abs(run.CLI)
	if err != nil {
		return process, fmt.Errorf("find func: %w", err)
	}
	return supervisor.Process{
		Name: ProcessFunc, Path: program, Args: args, Dir: f.Dir, Tier: tierWork,
		Env: append(toolEnvironment(), "FUNC_GO="+filepath.Join(p.Root, "infra", "local", "func-go.sh")),
		// func may be gone before it has passed the signal on to the function.
		StopSignal: syscall.SIGINT, SignalGroup: true, DeathSignal: syscall.SIGINT, Grace: funcGrace,
	}, nil
}

// toolEnvironment is what func and go need of ours. The function inherits it,
// so it is no more than that: a K_SINK of ours must not become the function's.
func toolEnvironment() []string {
	var environment []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch upper := strings.ToUpper(name); {
		case upper == "PATH", upper == "HOME", upper == "TMPDIR",
			strings.HasPrefix(upper, "GO"), strings.HasPrefix(upper, "XDG_"),
			strings.HasPrefix(upper, "SSL_CERT_"), strings.HasSuffix(upper, "_PROXY"):
			environment = append(environment, variable)
		}
	}
	return environment
}
