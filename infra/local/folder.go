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
	marked  bool // it is ours
	damaged bool // the marker is there, but not as we write it
	empty   bool // but for the marker there is nothing in it
}

func inspect(dir string) (folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, err
	}
	marker := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stateMarker && e.Type().IsRegular() })
	found := folder{empty: !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		// The marker of a start that was killed before it had named it is no content.
		return (e.Name() != stateMarker && e.Name() != stateMarker+unfinished) || !e.Type().IsRegular()
	})}
	if !marker {
		return found, nil
	}
	content, err := os.ReadFile(filepath.Join(dir, stateMarker))
	found.marked = strings.HasPrefix(string(content), markerText)
	found.damaged = !found.marked
	return found, err
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
		return foreign(dir, found)
	}
	if err := writeWhole(filepath.Join(dir, stateMarker), markerText); err != nil {
		return unwritable(dir, err)
	}
	return nil
}

// foreign refuses a folder that isn't ours. One whose marker is damaged mostly
// is, and only its owner can know.
func foreign(dir string, found folder) error {
	if found.damaged {
		path := filepath.Join(dir, stateMarker)
		return fmt.Errorf("%s is damaged, nothing was touched: if the data in the folder are Orderflow's, write it again (echo '%s' > %s), or name another folder with --state",
			path, strings.TrimSpace(markerText), path)
	}
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
	if err := os.RemoveAll(filepath.Join(dir, stateMarker+unfinished)); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, stateMarker)), os.Remove(dir))
}
