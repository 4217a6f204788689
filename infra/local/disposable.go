package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
	"github.com/orderflow-project/orderflow/shared/freeport"
)

// DisposablePostgres starts a Postgres on a free port with a folder of its own,
// for tests. It returns the URL of its superuser, and what ends it and removes
// its data.
func DisposablePostgres(ctx context.Context, options Options) (databaseURL string, end func(), err error) {
	options, err = options.complete()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "orderflow-postgres-")
	if err != nil {
		return "", nil, fmt.Errorf("make folder: %w", err)
	}
	stop := func() {}
	end = func() {
		stop()
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	cluster, err := options.disposable(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	stop, err = runDisposable(ctx, cluster, dir)
	if err != nil {
		return "", nil, err
	}
	return cluster.URL(), end, nil
}

// disposable makes the cluster below dir, which whoever runs the server for root
// may enter.
func (o Options) disposable(ctx context.Context, dir string) (postgres.Cluster, error) {
	if err := os.Chmod(dir, postgres.AboveMode()); err != nil {
		return postgres.Cluster{}, fmt.Errorf("open folder: %w", err)
	}
	owner, err := postgres.ServerOwner()
	if err != nil {
		return postgres.Cluster{}, err
	}
	port, err := freeport.Find()
	if err != nil {
		return postgres.Cluster{}, err
	}
	cluster := postgres.Cluster{
		Owner: owner, Dir: filepath.Join(dir, "postgres"), Port: port, Password: rand.Text(), Disposable: true,
	}
	if !owner.CanEnter(dir) {
		return cluster, fmt.Errorf("the user that runs PostgreSQL for root can't enter %s: set TMPDIR to a folder that all may enter", os.TempDir())
	}
	// Binaries that had to be downloaded stay, where make run looks for them too.
	if cluster.Installation, err = o.installation(ctx, cluster.Dir, owner, port); err != nil {
		return cluster, err
	}
	return cluster, cluster.Init(ctx, supervisor.Options{RunDir: dir, LogDir: dir})
}

// runDisposable starts the server and waits until it is ready.
func runDisposable(ctx context.Context, cluster postgres.Cluster, dir string) (stop func(), err error) {
	processes, err := supervisor.New(supervisor.Options{RunDir: dir, LogDir: dir})
	if err != nil {
		return nil, err
	}
	if err := processes.Start(cluster.Process()); err != nil {
		return nil, err
	}
	stop = func() { processes.Stop(context.WithoutCancel(ctx)) }
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		notReady := cluster.Ready(ctx)
		if notReady == nil {
			return stop, nil
		}
		if ctx.Err() != nil || errors.Is(notReady, postgres.ErrRefused) || processes.Ends(postgresServer) >= maxEnds {
			said, _ := os.ReadFile(filepath.Join(dir, postgresServer+".log"))
			stop()
			return nil, fmt.Errorf("postgres does not get ready (%w): %s", notReady, said)
		}
		pause(ctx, pollEvery)
	}
}
