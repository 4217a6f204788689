package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// RemoveStale removes the postmaster.pid of a server that is gone, where Postgres
// wouldn't: after a restart of the machine its number may be another process's,
// and Postgres, which takes that for the server, refuses to start for good. The
// caller holds the state folder, so that nobody starts a server meanwhile.
func (c Cluster) RemoveStale() error {
	path := filepath.Join(c.data(), "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || c.served(pid) {
		return nil //nolint:nilerr // Postgres says itself what it thinks of such a file
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale postmaster.pid: %w", err)
	}
	return nil
}

// served tells whether a server runs on the data: the process, or where all can
// be seen, any other, as one of a server that was killed may still write.
func (c Cluster) served(pid int) bool {
	data, err := filepath.EvalSymlinks(c.data())
	if err != nil {
		return true
	}
	if _, err := os.Stat("/proc/self/cwd"); err == nil {
		folders, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is well formed
		for _, folder := range folders {
			if at, err := os.Readlink(folder); err == nil && at == data {
				return true // all of Postgres' processes work in the data folder
			}
		}
		return false
	}
	line, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil { // there is no such process, which Postgres notices itself
		return true
	}
	return strings.Contains(string(line), "postgres")
}
