// Package groupcommit keeps a bbolt file that many requests write to at once.
// Whoever waits while the disk is busy shares the next commit, so that one
// sync makes the work of all of them durable.
//
// bbolt's own Batch waits a fixed time for company, also when nobody else is
// there, and starts a second batch while the first is being synced. Here a
// lone writer never waits, and a batch is exactly who came meanwhile.
package groupcommit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrClosed is returned for what comes after Close.
var ErrClosed = errors.New("store is closed")

// ErrInUse is returned by Open where another process has the file.
var ErrInUse = errors.New("in use by another process")

const (
	// maxBatch bounds how many writers one of them can make wait.
	maxBatch    = 512
	lockTimeout = time.Second
)

// File is a bbolt file with a single committer.
type File struct {
	db      *bbolt.DB
	jobs    chan job
	closing chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

type job struct {
	write  func(*bbolt.Tx) error
	result chan<- error
}

// Open opens the file, with its folder and buckets, creating what is missing.
func Open(path string, buckets ...string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of store: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	if err := db.Update(create(buckets)); err != nil {
		return nil, errors.Join(fmt.Errorf("create buckets in %s: %w", path, err), db.Close())
	}
	f := &File{db: db, jobs: make(chan job), closing: make(chan struct{})}
	f.stopped.Go(f.run)
	return f, nil
}

func create(buckets []string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return fmt.Errorf("bucket %s: %w", name, err)
			}
		}
		return nil
	}
}

// Update runs write in a transaction shared with others and returns once it is
// durable. Like with bbolt's Batch, write may run more than once: it must set
// its results anew each time. Its error undoes its own work only.
func (f *File) Update(write func(*bbolt.Tx) error) error {
	result := make(chan error, 1)
	select {
	case f.jobs <- job{write, result}:
		return <-result
	case <-f.closing:
		return ErrClosed
	}
}

// View runs read on a consistent picture of what is committed.
func (f *File) View(read func(*bbolt.Tx) error) error {
	err := f.db.View(read)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// Close commits what was accepted and closes the file. It may be called twice.
func (f *File) Close() error {
	f.once.Do(func() { close(f.closing) })
	f.stopped.Wait()
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func (f *File) run() {
	for {
		select {
		case first := <-f.jobs:
			f.commit(f.gather(first))
		case <-f.closing:
			return
		}
	}
}

// gather takes everybody who is waiting. The channel has no buffer, so nobody
// can be left in it when the file is closed.
func (f *File) gather(first job) []job {
	batch := []job{first}
	for len(batch) < maxBatch {
		select {
		case next := <-f.jobs:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (f *File) commit(batch []job) {
	for len(batch) > 0 {
		failed, err := f.try(batch)
		if failed < 0 {
			for _, j := range batch {
				j.result <- err
			}
			return
		}
		// The one that failed took the others' work with it: they go again.
		batch[failed].result <- err
		batch = slices.Delete(batch, failed, failed+1)
	}
}

// try commits the batch. A job's own error comes with its index; -1 means that
// all share the outcome.
func (f *File) try(batch []job) (failed int, err error) {
	failed = -1
	err = f.db.Update(func(tx *bbolt.Tx) error {
		for i, j := range batch {
			if err := j.write(tx); err != nil {
				failed = i
				return err
			}
		}
		return nil
	})
	if err != nil && failed < 0 {
		err = fmt.Errorf("commit: %w", err)
	}
	return failed, err
}
