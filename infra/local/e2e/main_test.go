package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// root is the project's folder, seen from here.
const root = "../../.."

// bin is where the programs are built: apart from make's own, so that no system
// that runs beside the tests has its programs exchanged.
func bin(program string) string {
	path, err := filepath.Abs(filepath.Join(root, "bin", "e2e", program))
	if err != nil {
		panic(err) // there is no working folder
	}
	return path
}

func TestMain(m *testing.M) {
	for _, module := range []string{"infra/local/cmd", "scripts"} {
		if err := build(module); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func build(folder string) error {
	cmd := exec.Command("go", "build", "-o", bin("")+string(filepath.Separator), "./...")
	cmd.Dir = filepath.Join(root, folder)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", folder, err, output)
	}
	return nil
}

// orders is how many orders a test places under load: enough to see that it
// works, unless more are asked for.
func orders(t *testing.T) int {
	t.Helper()
	text := os.Getenv("E2E_ORDERS")
	if text == "" {
		return 300
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		t.Fatalf("E2E_ORDERS is %q, want a number of orders", text)
	}
	return number
}

// tool finds a program of Debian's.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: apt-get install %s", name, debian)
	}
	return path
}
