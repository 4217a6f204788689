package local_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// Whoever starts it with nohup wants it to outlive the terminal, and whoever
// doesn't wants it to end.
func TestHangup(t *testing.T) {
	t.Parallel()
	// Programs get a signal's default again, even where this one is run by nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	// The command hangs its parent up, and tells whether it is ended then.
	const command = `trap 'exit 7' TERM; kill -HUP $PPID; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1 & wait $!; done`
	for name, test := range map[string]struct {
		prepare string
		want    int
	}{
		"from a terminal": {"", 7},
		"with nohup":      {"trap '' HUP; ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("sh", "-c", test.prepare+`exec "$@"`, "sh",
				filepath.Join(bin(), "orderflow"), "with-postgres", "--", "sh", "-c", command)
			cmd.Dir = root
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TEST_DATABASE_URL=postgres://127.0.0.1:1"}
			err := cmd.Run()
			exit, _ := errors.AsType[*exec.ExitError](err)
			got := 0
			if exit != nil {
				got = exit.ExitCode()
			}
			if got != test.want {
				t.Errorf("the command ends with %d (%v), want %d", got, err, test.want)
			}
		})
	}
}
