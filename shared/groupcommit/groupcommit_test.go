package groupcommit_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/orderflow-project/orderflow/shared/groupcommit"
)

const bucket = "numbers"

func open(t *testing.T, path string) *groupcommit.File {
	t.Helper()
	f, err := groupcommit.Open(path, bucket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func put(f *groupcommit.File, number int, failure error) error {
	return f.Update(func(tx *bbolt.Tx) error {
		key := binary.BigEndian.AppendUint64(nil, uint64(number))
		if err := tx.Bucket([]byte(bucket)).Put(key, []byte("x")); err != nil {
			return err
		}
		return failure
	})
}

func count(t *testing.T, f *groupcommit.File) int {
	t.Helper()
	var n int
	err := f.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket([]byte(bucket)).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConcurrentWritersFailAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "numbers.db")
	f := open(t, path)
	odd := errors.New("odd")
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			var failure error
			if n%2 == 1 {
				failure = odd
			}
			if err := put(f, n, failure); !errors.Is(err, failure) {
				t.Errorf("put %d = %v, want %v", n, err, failure)
			}
		})
	}
	wg.Wait()
	if got := count(t, f); got != 100 {
		t.Errorf("numbers stored = %d, want 100", got)
	}
}

func TestCloseKeepsWhatItAccepted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.db")
	f := open(t, path)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for n := range 64 {
		wg.Go(func() {
			err := put(f, n, nil)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				accepted++
			} else if !errors.Is(err, groupcommit.ErrClosed) {
				t.Errorf("put while closing: %v", err)
			}
		})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := put(f, 1000, nil); !errors.Is(err, groupcommit.ErrClosed) {
		t.Errorf("put after close = %v, want ErrClosed", err)
	}
	if err := f.View(func(*bbolt.Tx) error { return nil }); !errors.Is(err, groupcommit.ErrClosed) {
		t.Errorf("view after close = %v, want ErrClosed", err)
	}
	if got := count(t, open(t, path)); got != accepted {
		t.Errorf("numbers after reopening = %d, accepted %d", got, accepted)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.db")
	open(t, path)
	if _, err := groupcommit.Open(path); !errors.Is(err, groupcommit.ErrInUse) {
		t.Errorf("second open = %v, want ErrInUse", err)
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := groupcommit.Open("/proc/none/numbers.db"); err == nil {
		t.Error("open below /proc: no error")
	}
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "groupcommit")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	f, err := groupcommit.Open(filepath.Join(dir, "greetings.db"), "greetings")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	err = f.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("greetings")).Put([]byte("en"), []byte("hello"))
	})
	fmt.Println("durable:", err == nil)
	// Output: durable: true
}
