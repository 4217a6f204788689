package subprocess_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/shared/subprocess"
)

func never(context.Context) bool { return false }

func TestStartOfWhatEnds(t *testing.T) {
	t.Parallel()
	if _, err := subprocess.Start(exec.Command("sh", "-c", "exit 3"), never); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Start = %v, want that it has ended with 3", err)
	}
	if _, err := subprocess.Start(exec.Command("/nothing/there"), never); err == nil {
		t.Error("Start of a program that isn't there = nil")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	command := exec.Command("sleep", "60")
	stop, err := subprocess.Start(command, func(context.Context) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil || command.ProcessState == nil {
		t.Errorf("stop = %v, process %v, want that it has ended", err, command.ProcessState)
	}
}

func TestBuildFails(t *testing.T) {
	t.Parallel()
	if err := subprocess.Build(t.TempDir()+"/program", t.TempDir(), "./nothing"); err == nil {
		t.Error("Build of nothing = nil")
	}
}
