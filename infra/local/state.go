package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

// stateLock holds the state folder for one system.
type stateLock struct{ file *os.File }

// lockState takes the state folder, which was claimed. The lock goes with the
// process, however that ends.
func lockState(dir string) (*stateLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unwritable(dir, err)
	}
	if err := flock(file); err != nil {
		defer file.Close() //nolint:errcheck // nothing was written
		content, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("the system is running already, with the data in %s (process %s): stop it, or choose another folder and ports with --state and --port-offset",
			dir, strings.TrimSpace(string(content)))
	}
	if err := errors.Join(file.Truncate(0), writePid(file)); err != nil {
		_ = file.Close()
		return nil, unwritable(dir, err)
	}
	return &stateLock{file}, nil
}

const (
	lockTries = 5
	lockPause = 20 * time.Millisecond
)

// flock tries more than once: whoever looks whether a system runs holds the lock
// for a moment.
func flock(file *os.File) error {
	for try := 1; ; try++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || try == lockTries {
			return err
		}
		<-time.After(lockPause)
	}
}

// stateLocked tells whether a system runs with the state folder, however the
// last one has ended.
func stateLocked(dir string) bool {
	file, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return false
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

func writePid(file *os.File) error {
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("the data folder %s can't be written (%w): make it writable, or choose another with --state", dir, reason(err))
}

// reason drops the path from an error of the file system, where the text around
// it names it already.
func reason(err error) error {
	if path, is := errors.AsType[*fs.PathError](err); is {
		return path.Err
	}
	return err
}

func (l *stateLock) release() { _ = l.file.Close() }

// lost tells whether the folder, or the lock in it, was removed or replaced: then
// it no longer keeps others away.
func (l *stateLock) lost() bool {
	held, err := l.file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(l.file.Name())
	return err != nil || !os.SameFile(held, there)
}

// Reset removes everything that was kept: orders, mails, secrets, logs. A folder
// that is not ours stays as it is.
func Reset(options Options) error {
	options, err := options.complete()
	if err != nil {
		return err
	}
	found, err := inspect(options.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unwritable(options.State, err)
	case !found.marked && found.empty:
		return nil
	case !found.marked:
		return foreign(options.State, found)
	}
	lock, err := lockState(options.State)
	if err != nil {
		return err
	}
	defer lock.release()
	owner, err := postgres.ServerOwner()
	if err != nil {
		return err
	}
	if err := options.remove(owner); err != nil {
		return fmt.Errorf("remove data: %w", err)
	}
	return nil
}

func (o Options) remove(owner postgres.Owner) error {
	if err := removeOutside(o.State, owner); err != nil {
		return err
	}
	// By name, not the folder as a whole: somebody may have put something there.
	// The marker is the last to go, so that what was cut short can be done again.
	for _, name := range []string{
		"postgres", "kafka", "mailbox", "payment-provider", "s3", "logs", "run",
		secretsFile, secretsFile + unfinished, environmentFile, environmentFile + unfinished,
		placeFile, placeFile + unfinished, probeFile, "lock",
	} {
		if err := os.RemoveAll(o.path(name)); err != nil {
			return err
		}
	}
	return abandon(o.State)
}
