package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

// stateMarker is the file that makes a folder the state folder. Without it
// nothing is written to a folder that others use, and nothing removed from it.
const stateMarker = ".orderflow-state"

const markerText = "Orderflow keeps its data in this folder; make reset removes them.\n"

// folder is what is known of a folder that is to hold the state.
type folder struct {
	marked bool // it is ours
	empty  bool // but for the marker there is nothing in it
}

func inspect(dir string) (folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, err
	}
	marker := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stateMarker && e.Type().IsRegular() })
	if marker < 0 {
		return folder{empty: len(entries) == 0}, nil
	}
	content, err := os.ReadFile(filepath.Join(dir, stateMarker))
	return folder{marked: strings.HasPrefix(string(content), markerText), empty: len(entries) == 1}, err
}

// claim makes dir the state folder: one that is new, empty, or was it before.
func claim(dir string) error {
	if err := os.MkdirAll(dir, postgres.AboveMode()); err != nil {
		return unwritable(dir, err)
	}
	found, err := inspect(dir)
	switch {
	case err != nil:
		return unwritable(dir, err)
	case found.marked:
		return nil
	case !found.empty:
		return foreign(dir)
	}
	if err := os.WriteFile(filepath.Join(dir, stateMarker), []byte(markerText), 0o600); err != nil {
		return unwritable(dir, err)
	}
	return nil
}

func foreign(dir string) error {
	return fmt.Errorf("the folder %s is not empty and not Orderflow's, there is no %s in it: nothing was touched; name a new or an empty folder with --state (make run STATE=folder)",
		dir, stateMarker)
}

// abandon removes the folder, and leaves it as ours where somebody else has put
// something into it.
func abandon(dir string) error {
	found, err := inspect(dir)
	if err != nil || !found.empty {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, stateMarker)), os.Remove(dir))
}
