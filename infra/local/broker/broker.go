// Package broker is the Kafka of a laptop: one process, no replication, the
// Kafka protocol on a port of 127.0.0.1, its log in a folder that outlives it.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says where a broker listens, what it keeps and where.
type Config struct {
	// DataDir holds the log. It is created, and locked while the broker runs.
	DataDir string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Topics are there once Open has returned.
	Topics []Topic
	// NoSync leaves it to the operating system when records reach the disk.
	// They then survive the death of the process, but not of the machine.
	NoSync bool
	Logger *slog.Logger
}

// Errors that a person can do something about.
var (
	ErrPortTaken   = errors.New("port is taken by another program")
	ErrFolderInUse = errors.New("data folder is in use by another broker")
)

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *os.File
	logger  *slog.Logger
}

// Open starts a broker and makes its topics.
func Open(ctx context.Context, config Config) (*Broker, error) {
	lock, err := lockFolder(config.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open kafka broker: %w", err)
	}
	cluster, err := start(config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open kafka broker: %w", err), lock.Close())
	}
	b := &Broker{cluster: cluster, lock: lock, logger: config.Logger}
	if err := EnsureTopics(ctx, []string{b.Addr()}, config.Topics); err != nil {
		return nil, errors.Join(fmt.Errorf("open kafka broker: %w", err), b.Close())
	}
	b.logger.Info("kafka broker is up", "address", b.Addr(), "topics", len(config.Topics))
	return b, nil
}

// Addr is where clients connect to, as "127.0.0.1:9092".
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Run serves until ctx ends, then closes the log.
func (b *Broker) Run(ctx context.Context) error {
	<-ctx.Done()
	b.logger.Info("kafka broker is stopping", "address", b.Addr())
	return b.Close()
}

// Close stops the broker at once and gives the data folder free.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Close()
}

// lockFolder holds the folder for one broker: two on the same log would write
// over one another, and kfake does not look.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrFolderInUse, dir), lock.Close())
	}
	return lock, nil
}

func start(config Config) (*kfake.Cluster, error) {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(config.Port),
		kfake.DataDir(filepath.Join(config.DataDir, "log")),
		kfake.WithLogger(logger{config.Logger}),
	}
	if !config.NoSync {
		options = append(options, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(options...)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("127.0.0.1:%d: %w", config.Port, ErrPortTaken)
	}
	return cluster, err
}
