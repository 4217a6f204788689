package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// unfinished ends the name of a file that is being written.
const unfinished = ".new"

// writeWhole writes a file for the owner alone, so that after a crash of the
// machine it is there with all of its content, or as it was before.
func writeWhole(path, content string) error {
	if err := writeDurably(path+unfinished, content); err != nil {
		return err
	}
	if err := os.Rename(path+unfinished, path); err != nil {
		return fmt.Errorf("name file: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

func writeDurably(path, content string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncFolder makes a file's name last, as its Sync does with the content.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
