package conventions_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const failures = root + "/infra/FAILURES.md"

// rowsOfFailures are the cells of the table of what can fail.
func rowsOfFailures(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile(failures)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	table, _, _ := strings.Cut(string(text), "\n## ")
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| step ") {
			rows = append(rows, strings.Split(strings.Trim(line, "| \n"), " | "))
		}
	}
	return rows
}

// missingTest says what is wrong with a row, or "": each has tests, each of which is
// a function of its file or a case of the suite there.
func missingTest(row []string) string {
	if len(row) != 4 {
		return "it hasn't four cells"
	}
	links := regexp.MustCompile(`\[(\w+)\]\(([^)]+)\)`).FindAllStringSubmatch(row[3], -1)
	if len(links) == 0 {
		return "it has no test"
	}
	for _, link := range links {
		name, file := link[1], filepath.Join(filepath.Dir(failures), link[2])
		text, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(string(text), "func "+name+"(t *testing.T)") && !strings.Contains(string(text), "func "+name+"(f *testing.F)") &&
			!regexp.MustCompile(`"`+name+`"(: |\] = )`).Match(text) {
			return "there is no " + name + " in " + path.Base(file)
		}
	}
	return ""
}

// Whatever can fail is made up for, and shown to be: of every function there are rows.
func TestFailuresHaveTests(t *testing.T) {
	t.Parallel()
	steps := map[string]bool{}
	for _, row := range rowsOfFailures(t) {
		steps[row[0]] = true
		if missing := missingTest(row); missing != "" {
			t.Errorf("%v: %s", row, missing)
		}
	}
	functions, err := filepath.Glob(root + "/functions/*/func.yaml")
	if err != nil || len(functions) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, function := range functions {
		if name := filepath.Base(filepath.Dir(function)); !steps[name] {
			t.Errorf("%s says nothing of %s", filepath.Base(failures), name)
		}
	}
}

func TestMissingTestsAreFound(t *testing.T) {
	t.Parallel()
	for _, row := range [][]string{
		{"a", "b", "c"},
		{"a", "b", "c", "none"},
		{"a", "b", "c", "[TestNothing](local/system_test.go)"},
		{"a", "b", "c", "[TestStopLeavesNothing](local/nothing_test.go)"},
		{"a", "b", "c", "[TestStopLeavesNothing](local/system_test.go), [Nothing](../shared/stage/stagetest/conform.go)"},
	} {
		if missingTest(row) == "" {
			t.Errorf("%v is found to be complete", row)
		}
	}
	if missing := missingTest([]string{"a", "b", "c", "[TestStopLeavesNothing](local/system_test.go), [Duplicate](../shared/stage/stagetest/conform.go)"}); missing != "" {
		t.Errorf("a row that is complete: %s", missing)
	}
}
