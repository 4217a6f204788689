package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Data are read by the version that has made them, however many newer ones were
// installed since.
func TestChoose(t *testing.T) {
	t.Parallel()
	var dirs []string
	for _, version := range []int{14, 17, 15, 16} {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %d.3'\n", version)
		for _, binary := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(dir, binary), []byte(script), 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
		}
	}
	for made, want := range map[int]int{0: 17, 15: 15, 16: 16, 14: 17, 13: 17} {
		if got, err := choose(t.Context(), dirs, made); err != nil || got.Major != want {
			t.Errorf("choose() for data of %d = %+v, %v, want %d", made, got, err, want)
		}
	}
}
