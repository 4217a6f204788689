package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// bin is where the programs are. They are built before the first test, with a
// stand-in for the functions: these tests are about processes.
func bin() string { return filepath.Join(os.TempDir(), fmt.Sprintf("orderflow-test-%d", os.Getpid())) }

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	defer os.RemoveAll(bin())
	if err := localtest.Build(root, bin(), "cmd/orderflow", "testdata/pod"); err != nil {
		return 1, err
	}
	if err := os.Rename(filepath.Join(bin(), "pod"), filepath.Join(bin(), "function")); err != nil {
		return 1, fmt.Errorf("name the stand-in: %w", err)
	}
	return m.Run(), nil
}
