// Package subprocess builds and starts the programs that tests need beside them. It
// is for tests only.
package subprocess

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

const (
	// readyWithin is how long a program may take until it is ready.
	readyWithin = time.Minute
	lookEvery   = 20 * time.Millisecond
)

// Build builds a package of the module in a folder as a program.
func Build(program, module, pkg string) error {
	build := exec.Command("go", "build", "-o", program, pkg) //nolint:noctx // go test bounds it
	build.Dir, build.Env = module, append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Start starts a program and waits until it is ready. Stop kills it, and waits until
// it has ended.
func Start(command *exec.Cmd, ready func(ctx context.Context) bool) (stop func() error, err error) {
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // whoever asks reads ProcessState
	}()
	stop = func() error {
		err := command.Process.Kill()
		<-ended
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if ready(ctx) {
				return stop, nil
			}
		case <-ended:
			return nil, fmt.Errorf("%s has ended: %s", command.Path, command.ProcessState)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not get ready", command.Path), stop())
		}
	}
}

// Healthy tells that a URL answers with 200.
func Healthy(url string) func(ctx context.Context) bool {
	return func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close() //nolint:errcheck,gosec // the status says it all
		return response.StatusCode == http.StatusOK
	}
}
