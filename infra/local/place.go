package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

// The private cluster lives in the state folder, unless root makes it and the
// user who runs Postgres for root can't get there, as in a home folder. Then it
// gets a folder of its own in /var/tmp, whose name is written down. Where it was
// made it stays, whoever starts the system and wherever the state folder is moved
// to: what Kafka, the ledger and the mailbox hold belongs to those orders.

const (
	// placeFile names the folder in /var/tmp.
	placeFile = "postgres-folder"
	// outsidePattern is what such a folder is called. Nothing else is believed:
	// root removes what the file names.
	outsidePattern = "/var/tmp/orderflow-*"
)

// place is a folder of a cluster, and the state folder that it is for.
type place struct{ dir, state string }

func (p place) String() string { return p.dir + "\n" + p.state + "\n" }

// readPlace returns none where none is written down.
func readPlace(state string) (place, error) {
	path := filepath.Join(state, placeFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return place{}, nil
	}
	if err != nil {
		return place{}, fmt.Errorf("find PostgreSQL's data: %w", err)
	}
	dir, rest, _ := strings.Cut(string(content), "\n")
	if outside, err := filepath.Match(outsidePattern, dir); err != nil || !outside {
		return place{}, fmt.Errorf("%s is damaged: it names no folder of PostgreSQL's data (%s); restore it, or remove all data with make reset", path, outsidePattern)
	}
	return place{dir, strings.TrimSuffix(rest, "\n")}, nil
}

// copied tells whether the state folder is a copy of one that is still there.
// The cluster is the original's: both on it would be one system too many.
func (p place) copied(state string) bool {
	original, err := readPlace(p.state)
	if p.state == state || err != nil || original.dir != p.dir {
		return false
	}
	one, errOne := os.Stat(p.state)
	other, errOther := os.Stat(state)
	return errOne == nil && errOther == nil && !os.SameFile(one, other) // it may be reached by a link
}

// databaseDir finds the folder of the cluster that was made before; "" is none.
// One that is there and can't be used is an error: a new one in its place would
// have none of the orders that everything else speaks of.
func databaseDir(state string, owner postgres.Owner) (string, error) {
	recorded, err := readPlace(state)
	if err != nil {
		return "", err
	}
	if recorded.dir == "" {
		dir := filepath.Join(state, "postgres")
		if _, err := os.Lstat(filepath.Join(dir, "data")); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return dir, usable(dir, owner)
	}
	if recorded.copied(state) {
		return "", fmt.Errorf("the data folder %s is a copy of %s, and PostgreSQL's data in %s are not in it: use the original, or another folder with --state", state, recorded.state, recorded.dir)
	}
	return recorded.dir, usable(recorded.dir, owner)
}

func usable(dir string, owner postgres.Owner) error {
	if err := owner.CheckData(dir); err != nil {
		return fmt.Errorf("PostgreSQL's data in %s can't be used: %w; start the system as the user who made them, or name another folder with --state", dir, err)
	}
	return nil
}

// placeDatabase finds the folder of the cluster, or chooses one.
func placeDatabase(state string, owner postgres.Owner) (string, error) {
	dir, err := databaseDir(state, owner)
	if err != nil {
		return "", err
	}
	if dir == "" && owner.CanEnter(state) {
		return filepath.Join(state, "postgres"), nil
	}
	if dir == "" {
		return makeOutside(state, owner)
	}
	recorded, err := readPlace(state)
	if err != nil || recorded.dir == "" || recorded.state == state {
		return dir, err
	}
	// The state folder was moved.
	if err := writeWhole(filepath.Join(state, placeFile), place{dir, state}.String()); err != nil {
		return "", unwritable(state, err)
	}
	return dir, nil
}

// makeOutside makes a folder in /var/tmp, of a name that nobody can have put
// something in the place of.
func makeOutside(state string, owner postgres.Owner) (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(outsidePattern), filepath.Base(outsidePattern))
	if err != nil {
		return "", fmt.Errorf("make folder for PostgreSQL: %w", err)
	}
	err = owner.Own(dir)
	if err == nil {
		err = recordPlace(state, place{dir, state})
	}
	if err == nil {
		return dir, nil
	}
	_ = os.Remove(dir) // it is empty
	if errors.Is(err, fs.ErrExist) {
		return databaseDir(state, owner) // another process was faster
	}
	return "", err
}

// recordPlace writes down where the cluster is, once: tests may look for
// Postgres' binaries there while the system starts, and only one folder counts.
func recordPlace(state string, p place) error {
	path := filepath.Join(state, placeFile)
	temporary := fmt.Sprintf("%s%s.%d", path, unfinished, os.Getpid())
	err := writeDurably(temporary, p.String())
	if err == nil {
		err = os.Link(temporary, path)
	}
	_ = os.Remove(temporary)
	if err == nil {
		err = syncFolder(state)
	}
	if err != nil {
		return fmt.Errorf("write down the folder for PostgreSQL: %w", err)
	}
	return nil
}

// removeOutside removes the cluster in /var/tmp, if it is there and this state
// folder's.
func removeOutside(state string, owner postgres.Owner) error {
	recorded, err := readPlace(state)
	if err != nil || recorded.dir == "" || recorded.copied(state) || !owner.Owns(recorded.dir) {
		return nil //nolint:nilerr // a file that says nothing goes with the rest
	}
	return os.RemoveAll(recorded.dir)
}
