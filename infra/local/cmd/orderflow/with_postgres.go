package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/orderflow-project/orderflow/infra/local"
)

// testDatabaseVariable is what shared/postgres/postgrestest reads.
const testDatabaseVariable = "TEST_DATABASE_URL"

// testsGrace is how long tests may take to clean up after Ctrl-C.
const testsGrace = 10 * time.Second

type withPostgresCommand struct {
	place
	PostgresBin string   `help:"Folder with the binaries of PostgreSQL; looked for if not given." env:"POSTGRES_BIN"`
	Command     []string `arg:"" passthrough:"" help:"The command and its arguments."`
}

// Run implements the command. It ends as its command does. A server of the
// user's own, in TEST_DATABASE_URL, is used as it is.
func (c *withPostgresCommand) Run(ctx context.Context) error {
	if os.Getenv(testDatabaseVariable) != "" {
		return runCommandLine(ctx, c.Command)
	}
	databaseURL, end, err := local.DisposablePostgres(ctx, local.Options{
		Root: c.Root, State: c.State, PostgresBin: c.PostgresBin,
		Step: func(step string) { fmt.Fprintln(os.Stderr, step+" ...") },
	})
	if err != nil {
		return err
	}
	defer end()
	return runCommandLine(ctx, c.Command, testDatabaseVariable+"="+databaseURL)
}

func runCommandLine(ctx context.Context, line []string, environment ...string) error {
	if line[0] == "--" {
		line = line[1:]
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = testsGrace
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exitError(max(exit.ExitCode(), 1))
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", line[0], err)
	}
	return nil
}

// exitError is the code to end with when somebody else has said why.
type exitError int

func (exitError) Error() string { return "" }
