// Package postgres makes and runs a private Postgres cluster from whatever
// Postgres the machine has.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
)

// MinMajor is the oldest Postgres that our SQL runs on.
const MinMajor = 15

// Installation is a folder with the server's binaries.
type Installation struct {
	Bin   string
	Major int
}

// ErrNotFound says that the machine has no Postgres we could use.
var ErrNotFound = errors.New("no PostgreSQL server found")

// Find looks for a Postgres that is new enough: in the named folder and nowhere
// else if there is a name, or else in PATH, where distributions, Homebrew and
// Postgres.app put it, and in the further folders. It prefers the version that
// has made the data, since no other can read them; where there are none (0) or
// that version isn't, the newest.
func Find(ctx context.Context, named string, made int, further ...string) (Installation, error) {
	if named != "" {
		return inspect(ctx, named)
	}
	return choose(ctx, append(candidates(), further...), made)
}

func choose(ctx context.Context, dirs []string, made int) (Installation, error) {
	var best Installation
	for _, dir := range dirs {
		found, err := inspect(ctx, dir)
		if err == nil && found.Major == made {
			return found, nil
		}
		if err == nil && found.Major > best.Major {
			best = found
		}
	}
	if best.Major == 0 {
		return best, ErrNotFound
	}
	return best, nil
}

func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	patterns := []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"}
	if runtime.GOOS == "darwin" {
		patterns = append(patterns, "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin")
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		dirs = append(dirs, found...)
	}
	return slices.Compact(dirs)
}

// inspect asks the binary in dir for its version.
func inspect(ctx context.Context, dir string) (Installation, error) {
	for _, binary := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(filepath.Join(dir, binary)); err != nil {
			return Installation{}, fmt.Errorf("%w in %s", ErrNotFound, dir)
		}
	}
	output, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Installation{}, fmt.Errorf("ask postgres in %s for its version: %w", dir, err)
	}
	match := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(output)
	if match == nil {
		return Installation{}, fmt.Errorf("ask postgres in %s for its version: it says %q", dir, output)
	}
	major, err := strconv.Atoi(string(match[1]))
	if err != nil || major < MinMajor {
		return Installation{}, fmt.Errorf("PostgreSQL in %s is version %s: %d or newer is needed", dir, match[1], MinMajor)
	}
	return Installation{Bin: dir, Major: major}, nil
}
