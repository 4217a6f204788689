package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

// Where root keeps the database in /var/tmp, what another user has planted there
// is neither used nor removed.
func TestPlantedDatabase(t *testing.T) {
	t.Parallel()
	options := Options{State: filepath.Join(t.TempDir(), "state")}
	theirs := t.TempDir()
	outside := outsideDir(options.State)
	if err := errors.Join(claim(options.State), os.Chmod(options.State, 0o700), os.Symlink(theirs, outside)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(outside) })
	owner := postgres.Owner{UID: os.Getuid() + 12345, GID: os.Getgid() + 12345, Lent: true}
	if _, err := claimPostgresDir(options.State, owner); err == nil || !strings.Contains(err.Error(), "made by somebody else") {
		t.Errorf("claimPostgresDir() = %v, want that it isn't ours", err)
	}
	if err := options.remove(owner); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(outside); err != nil {
		t.Errorf("what somebody else made was removed: %v", err)
	}
}

// What root made there for its database is removed.
func TestOwnDatabaseOutside(t *testing.T) {
	t.Parallel()
	options := Options{State: filepath.Join(t.TempDir(), "state")}
	outside := outsideDir(options.State)
	if err := errors.Join(claim(options.State), os.Mkdir(outside, 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(outside) })
	if err := options.remove(postgres.Owner{UID: os.Getuid(), GID: os.Getgid()}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{outside, options.State} {
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}
