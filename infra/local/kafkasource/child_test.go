package kafkasource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// childSource is the environment variable that makes the test binary a
// dispatcher of its own, one that can be killed.
const childSource = "KAFKASOURCE_TEST_CHILD"

// child is what such a dispatcher is told.
type child struct {
	Source   kafkasource.Source
	Instance string
	Session  time.Duration
}

func runChild(text string) int {
	var job child
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err := kafkasource.Run(context.Background(), kafkasource.Config{
		Sources: []kafkasource.Source{job.Source}, Logger: quiet(), CommitInterval: time.Hour,
		SessionTimeout: job.Session, Instance: job.Instance,
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// start runs a source in a process that never commits by itself, and returns how
// to kill it.
func (c child) start(t *testing.T) (kill func()) {
	t.Helper()
	job, err := json.Marshal(c)
	if err != nil {
		t.Fatalf("encode source: %v", err)
	}
	command := exec.Command(os.Args[0]) //nolint:gosec // our own binary
	command.Env = append(os.Environ(), childSource+"="+string(job))
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("start child: %v", err)
	}
	dead := false
	kill = func() {
		if dead {
			return
		}
		dead = true
		if err := command.Process.Kill(); err != nil {
			t.Errorf("kill child: %v", err)
		}
		_ = command.Wait()
	}
	t.Cleanup(kill)
	return kill
}
