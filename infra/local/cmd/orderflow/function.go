package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orderflow-project/orderflow/infra/local"
)

// byHand is what running and invoking a function by the func CLI have in common.
type byHand struct {
	place
	Func     string `help:"The func CLI." default:"bin/func" type:"existingfile"`
	Event    string `help:"An event of events/examples; the first that the function reads if not given." placeholder:"order-placed"`
	Function string `arg:"" help:"Name of the function."`
}

func (c *byHand) invocation() (local.Invocation, error) {
	if _, err := os.Stat(filepath.Join(c.dir(), "func.yaml")); err != nil {
		return local.Invocation{}, fmt.Errorf("there is no function %q: functions/ has them", c.Function)
	}
	return local.NewInvocation(c.Root, c.Function, c.Event)
}

func (c *byHand) dir() string { return filepath.Join(c.Root, "functions", c.Function) }

type funcRunCommand struct {
	byHand
	Port        int    `help:"Port on 127.0.0.1; 8080 or, if that is taken, another if not given."`
	PostgresBin string `help:"Folder with the binaries of PostgreSQL; looked for if not given." env:"POSTGRES_BIN"`
}

// Run implements the command.
func (c *funcRunCommand) Run(ctx context.Context) error {
	invocation, err := c.invocation()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	err = local.RunFunction(ctx, local.Options{
		Root: c.Root, Bin: filepath.Dir(program), State: c.State, PostgresBin: c.PostgresBin, Line: showFunc, Step: showStep, Say: say,
	}, local.FunctionRun{Function: c.Function, Invocation: invocation, CLI: c.Func, Port: c.Port})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is no failure
	}
	return err
}

// showFunc shows what func and the function write; the rest of the system is
// only there for them.
func showFunc(process, line string) {
	if process == local.ProcessFunc {
		fmt.Println(line)
	}
}

func showStep(step string) { fmt.Fprintln(os.Stderr, step+" ...") }

func say(text string) { fmt.Fprintln(os.Stderr, text) }

type funcInvokeCommand struct{ byHand }

// Run implements the command.
func (c *funcInvokeCommand) Run(ctx context.Context) error {
	invocation, err := c.invocation()
	if err != nil {
		return err
	}
	return runCommandLine(ctx, append(append([]string{c.Func}, invocation.FuncArgs()...), "--path="+c.dir()))
}
