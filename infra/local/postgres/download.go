package postgres

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// Download fetches Postgres' binaries into dir, for a machine that has none.
func Download(ctx context.Context, dir string, port int) (Installation, error) {
	return download(ctx, dir, embedded.DefaultConfig().Port(uint32(port)))
}

// download is the library's, which is made to fetch and start a server in one,
// and knows no context. Of the server nothing comes into being, since initdb
// refuses the encoding; by then the binaries are there. When ctx ends first, the
// library is left alone: it goes on until the process ends, which it is about to,
// and leaves at most what it has fetched in the folder for temporary files, and
// beside dir a folder temp_ that has not yet become the binaries.
func download(ctx context.Context, dir string, config embedded.Config) (Installation, error) {
	scratch, err := os.MkdirTemp("", "orderflow-postgres-")
	if err != nil {
		return Installation{}, fmt.Errorf("download postgres: %w", err)
	}
	server := embedded.NewDatabase(config.
		Version(embedded.V17).
		BinariesPath(dir).
		CachePath(filepath.Join(scratch, "cache")).
		RuntimePath(filepath.Join(scratch, "run")).
		Encoding("none, so that no server is started").
		Logger(io.Discard))
	ended := make(chan error, 1)
	go func() {
		err := server.Start()
		_ = os.RemoveAll(scratch) // not before: the library panics where its folder is gone
		ended <- err
	}()
	var outcome error
	select {
	case <-ctx.Done():
		return Installation{}, fmt.Errorf("download postgres: %w", ctx.Err())
	case outcome = <-ended:
	}
	installation, err := inspect(ctx, filepath.Join(dir, "bin"))
	if err != nil && outcome != nil {
		return Installation{}, fmt.Errorf("download postgres: %w", outcome)
	}
	return installation, err
}
