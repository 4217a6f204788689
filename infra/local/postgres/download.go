package postgres

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// Download fetches Postgres' binaries into dir, for a machine that has none. It
// is the library's downloader that we are after: it can't fetch without starting
// a server too, which fails as root, but by then the binaries are there.
func Download(ctx context.Context, dir string, port int) (Installation, error) {
	scratch, err := os.MkdirTemp("", "orderflow-postgres-")
	if err != nil {
		return Installation{}, fmt.Errorf("download postgres: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // what is left is in the folder for temporary files

	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(embedded.V17).
		Port(uint32(port)).
		BinariesPath(dir).
		CachePath(filepath.Join(scratch, "cache")).
		RuntimePath(filepath.Join(scratch, "run")).
		Logger(io.Discard))
	started := server.Start()
	if started == nil {
		if err := server.Stop(); err != nil {
			return Installation{}, fmt.Errorf("stop downloaded postgres: %w", err)
		}
	}
	installation, err := inspect(ctx, filepath.Join(dir, "bin"))
	if err != nil && started != nil {
		return Installation{}, fmt.Errorf("download postgres: %w", started)
	}
	return installation, err
}
