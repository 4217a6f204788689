package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

// self lends the server our own user, so that the way root does it can be tested
// as anybody: what the owner may pass is found out from the modes alone.
func self() postgres.Owner {
	return postgres.Owner{UID: os.Getuid(), GID: os.Getgid(), Lent: true}
}

func stateFolder(t *testing.T) string {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	if err := claim(state); err != nil {
		t.Fatal(err)
	}
	return state
}

// outside makes a cluster in /var/tmp for the state folder.
func outside(t *testing.T, state string) string {
	t.Helper()
	dir, err := makeOutside(state, self())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func assertDatabase(t *testing.T, state, want string) {
	t.Helper()
	if got, err := placeDatabase(state, self()); err != nil || got != want {
		t.Errorf("placeDatabase() = %s, %v, want %s", got, err, want)
	}
}

// A database in the state folder is never left for a new one elsewhere, whoever
// starts the system.
func TestDatabaseInTheStateFolderStays(t *testing.T) {
	t.Parallel()
	state := stateFolder(t)
	inside := filepath.Join(state, "postgres")
	if err := os.MkdirAll(filepath.Join(inside, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	assertDatabase(t, state, inside)
	stranger := postgres.Owner{UID: os.Getuid() + 12345, GID: os.Getgid() + 12345, Lent: true}
	if got, err := placeDatabase(state, stranger); err == nil || !strings.Contains(err.Error(), inside) || !strings.Contains(err.Error(), "belong to") {
		t.Errorf("placeDatabase() as another user = %s, %v, want a refusal", got, err)
	}
	if _, err := os.Stat(filepath.Join(state, placeFile)); err == nil {
		t.Error("another place is written down")
	}
}

// A database in /var/tmp goes with its state folder, not with that folder's name.
func TestDatabaseOutsideIsFoundAgain(t *testing.T) {
	t.Parallel()
	state := stateFolder(t)
	dir := outside(t, state)
	assertDatabase(t, state, dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	assertDatabase(t, link, dir)
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(state, moved); err != nil {
		t.Fatal(err)
	}
	assertDatabase(t, moved, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := placeDatabase(moved, self()); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("placeDatabase() without the data = %s, %v, want a refusal", got, err)
	}
}

// Where nothing was made yet, a folder that the server can't enter gets a
// database outside, and the same for all who ask.
func TestNewDatabase(t *testing.T) {
	t.Parallel()
	state := stateFolder(t)
	assertDatabase(t, state, filepath.Join(state, "postgres"))
	first := outside(t, state)
	second, err := makeOutside(state, self())
	if err != nil || second != first {
		t.Errorf("a second process gets %s, %v, want %s", second, err, first)
	}
	left, err := filepath.Glob(filepath.Join(state, placeFile+unfinished+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// A copy of a state folder has no database of its own, and its reset must not
// remove the original's.
func TestCopiedStateFolder(t *testing.T) {
	t.Parallel()
	state, other := stateFolder(t), stateFolder(t)
	dir := outside(t, state)
	content, err := os.ReadFile(filepath.Join(state, placeFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(other, placeFile), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := placeDatabase(other, self()); err == nil || !strings.Contains(err.Error(), "a copy of "+state) {
		t.Errorf("placeDatabase() of a copy = %s, %v", got, err)
	}
	if err := (Options{State: other}).remove(self()); err != nil {
		t.Fatal(err)
	}
	assertDatabase(t, state, dir)
}

// What the file names is removed by root, so not everything may be named.
func TestResetRemovesTheDatabaseOutsideOnly(t *testing.T) {
	t.Parallel()
	state := stateFolder(t)
	dir := outside(t, state)
	if err := (Options{State: state}).remove(self()); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{dir, state} {
		if _, err := os.Lstat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, planted := range []string{t.TempDir(), "/var/tmp/orderflow-1/../../../" + t.TempDir(), ""} {
		state := stateFolder(t)
		err := os.WriteFile(filepath.Join(state, placeFile), []byte(planted+"\n"+state+"\n"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := placeDatabase(state, self()); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("placeDatabase() with %q = %v, want that the file is damaged", planted, err)
		}
		if err := (Options{State: state}).remove(self()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Clean(planted)); err != nil {
			t.Errorf("%s was removed", planted)
		}
	}
	theirs, err := os.MkdirTemp("/var/tmp", "orderflow-theirs-") //nolint:usetesting // nowhere else may it be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(theirs) })
	link := theirs + "-link"
	if err := os.Symlink(theirs, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(link) })
	state = stateFolder(t)
	if err := errors.Join(recordPlace(state, place{link, state}), (Options{State: state}).remove(self())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("what somebody else has planted was removed: %v", err)
	}
}

// A marker that a crash has cut off is told from one that isn't there, and one
// that was not yet named is in nobody's way.
func TestMarker(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, stateMarker+unfinished), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(state); err != nil {
		t.Errorf("claim() over what a killed start left = %v", err)
	}
	err := errors.Join(os.Mkdir(filepath.Join(state, "logs"), 0o700), os.Truncate(filepath.Join(state, stateMarker), 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, refused := range map[string]error{"claim": claim(state), "Reset": Reset(Options{State: state})} {
		if refused == nil || !strings.Contains(refused.Error(), "is damaged") || strings.Contains(refused.Error(), "there is no") {
			t.Errorf("%s() with an empty marker = %v, want that it is damaged", name, refused)
		}
	}
}
