package verify_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/orderflow-project/orderflow/infra/knative/verify"
)

const root = "../../.."

func TestManifests(t *testing.T) {
	t.Parallel()
	system, err := verify.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range system.Check() {
		t.Error(problem)
	}
	report(system)
}

// Whoever makes the secrets reads the table in infra/README.md, and not templates.
func TestEverySecretIsDocumented(t *testing.T) {
	t.Parallel()
	system, err := verify.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	readme := read(t, filepath.Join(root, "infra/README.md"))
	for name, keys := range system.Templates {
		row := fmt.Sprintf("\n| `%s` | `%s` | ", name, strings.Join(slices.Sorted(slices.Values(keys)), "`, `"))
		if !strings.Contains(readme, row) {
			t.Errorf("infra/README.md's secrets need a row %s who needs it |", strings.TrimSpace(row))
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `orderflow-[a-z0-9-]+` \\|").FindAllString(readme, -1)
	if len(rows) != len(system.Templates) {
		t.Errorf("infra/README.md has %d secrets, and there are templates of %d", len(rows), len(system.Templates))
	}
}

// report says how many objects of each kind were looked at: a check of nothing
// finds nothing.
func report(system *verify.System) {
	total := map[string]int{"func.yaml": len(system.Functions), "template of a Secret": len(system.Templates) + len(system.Kafka["overlays/aws"])}
	for _, m := range slices.Concat(system.Deployments, system.Migrations) {
		for kind, count := range m.Counts {
			total[kind] += count
		}
	}
	all, table := 0, tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(table, "%s\t%4d\n", kind, total[kind])
		all += total[kind]
	}
	fmt.Fprintf(table, "objects checked\t%4d\n", all)
	table.Flush()
}
