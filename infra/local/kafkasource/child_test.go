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

const childSession = 500 * time.Millisecond

func runChild(job string) int {
	var source kafkasource.Source
	if err := json.Unmarshal([]byte(job), &source); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err := kafkasource.Run(context.Background(), kafkasource.Config{
		Sources: []kafkasource.Source{source}, Logger: quiet(), CommitInterval: time.Hour, SessionTimeout: childSession,
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// startChild runs a source in a process that never commits by itself, and
// returns how to kill it.
func startChild(t *testing.T, source kafkasource.Source) (kill func()) {
	t.Helper()
	job, err := json.Marshal(source)
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
