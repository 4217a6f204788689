package functest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// root is the project's folder, seen from here.
const root = "../../.."

// clone is where the copy of the project is.
func clone(path ...string) string {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("orderflow-functest-%d", os.Getuid()))
	return filepath.Join(append([]string{dir}, path...)...)
}

// cli is the func program.
func cli() string {
	path, err := filepath.Abs(filepath.Join(root, "bin", "func"))
	if err != nil {
		panic(err) // there is no working folder
	}
	return path
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if _, err := os.Stat(cli()); err != nil {
		return 1, fmt.Errorf("these tests need the func CLI: make bin/func (%w)", err)
	}
	lock, err := os.OpenFile(clone()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 1, fmt.Errorf("take the copy's place: %w", err)
	}
	defer lock.Close()
	// Another run of these tests may be under way: it is waited for.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return 1, fmt.Errorf("take the copy's place: %w", err)
	}
	if err := copyProject(); err != nil {
		return 1, err
	}
	defer os.RemoveAll(clone())
	if err := localtest.Build(clone(), clone("bin"), "cmd/orderflow", "cmd/function"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// copyProject copies what a clone would have if all was committed.
func copyProject() error {
	if err := os.RemoveAll(clone()); err != nil {
		return fmt.Errorf("remove the last copy: %w", err)
	}
	names, err := files(".", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(root, name), clone(name)); err != nil {
			return err
		}
	}
	return nil
}

// files lists the files of a folder that git has, by ls-files' options.
func files(dir string, options ...string) ([]string, error) {
	cmd := exec.Command("git", append([]string{"ls-files", "-z"}, options...)...)
	cmd.Dir = filepath.Join(root, dir)
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the project's files: %w", err)
	}
	var names []string
	for name := range bytes.SplitSeq(bytes.TrimSuffix(output, []byte{0}), []byte{0}) {
		names = append(names, string(name))
	}
	return names, nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if os.IsNotExist(err) {
		return nil // removed, but not from the index yet
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// bare is the environment of somebody who has set nothing.
func bare() []string {
	var environment []string
	for _, name := range []string{"PATH", "HOME"} {
		environment = append(environment, name+"="+os.Getenv(name))
	}
	return environment
}

// functions are the names of all functions.
func functions(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(clone("functions", "*", "func.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no functions in %s: %v", clone(), err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimPrefix(filepath.Dir(path), clone("functions")+"/"))
	}
	return names
}
