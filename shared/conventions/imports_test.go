package conventions_test

import (
	"slices"
	"strings"
	"testing"
)

// part is a part of the project, and what it may import of the others.
type part struct {
	name string
	may  []string
	// because says why it may import nothing else.
	because string
}

func parts() []part {
	return []part{
		{"events", nil, "the contract is what all others are held to, so it depends on none of them"},
		{"shared", []string{"events"}, "what functions share must not know of a function, nor of where it runs"},
		{"functions", []string{"shared", "events"}, "functions know of each other by events only: what two of them need goes into shared"},
		{"infra/local", []string{"functions", "shared", "events"}, "the platform runs what there is, and knows of no tool that is used on it"},
		{"infra/knative", []string{"events"}, "what checks the manifests compares them with the contract, and must not believe the code that reads them"},
		{"scripts", []string{"shared", "events"}, "simulate and audit look from the outside, and would else find what the code believes of itself"},
	}
}

// partOf finds the part that a folder belongs to.
func partOf(dir string) (part, bool) {
	all := parts()
	i := slices.IndexFunc(all, func(p part) bool { return dir == p.name || strings.HasPrefix(dir, p.name+"/") })
	if i < 0 {
		return part{}, false
	}
	return all[i], true
}

// functionOf is the function that a folder belongs to, or "".
func functionOf(dir string) string {
	if below, found := strings.CutPrefix(dir, "functions/"); found {
		name, _, _ := strings.Cut(below, "/")
		return name
	}
	return ""
}

// wrongImport says what is wrong with a package's import of another package of
// ours, or "".
func wrongImport(importer, imported string) string {
	from, known := partOf(importer)
	to, found := partOf(imported)
	switch {
	case !known || !found:
		return "one of them is in no part of the project that has a rule: see parts"
	case from.name != to.name && slices.Contains(from.may, to.name),
		from.name == to.name && functionOf(importer) == functionOf(imported):
		return ""
	}
	return from.because
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range sources(t) {
		for _, imported := range f.imports() {
			dir, ours := strings.CutPrefix(imported, project)
			if !ours {
				continue
			}
			from, _ := partOf(f.dir)
			seen[from.name] = true
			if wrong := wrongImport(f.dir, dir); wrong != "" {
				t.Errorf("%s/%s imports %s: %s", f.dir, f.name, dir, wrong)
			}
		}
	}
	for _, p := range parts() {
		if !seen[p.name] && p.may != nil {
			t.Errorf("no file of %s was looked at", p.name)
		}
	}
}

// Whoever reads events in another language or repository needs the standard
// library and no more.
func TestEventsNeedNothing(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.dir != "events" || f.test() {
			continue
		}
		for _, imported := range f.imports() {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("events/%s imports %s: the contract depends on the standard library only", f.name, imported)
			}
		}
	}
}

// TestMoneyMovesOnRecord holds that functions have a payment provider only behind the
// ledger of attempts. provider-webhooks asks Stripe how a payment stands, and moves nothing.
func TestMoneyMovesOnRecord(t *testing.T) {
	t.Parallel()
	ledgers := 0
	for _, f := range sources(t) {
		name := functionOf(f.dir)
		if name == "" || f.test() {
			continue
		}
		for _, imported := range f.imports() {
			dir, _ := strings.CutPrefix(imported, project)
			switch {
			case dir == "shared/payment/attempt":
				ledgers++
			case dir == "shared/payment/gateway", dir == "shared/payment/stripe" && name != "provider-webhooks":
				t.Errorf("%s/%s imports %s: money is moved by shared/payment/attempt, which keeps a record", f.dir, f.name, dir)
			}
		}
	}
	if ledgers == 0 {
		t.Error("no function has a ledger of attempts")
	}
}

func TestWrongImportsAreFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		importer, imported string
		wrong              bool
	}{
		{"events", "shared/stage", true},
		{"shared/stage", "events", false},
		{"shared/stage", "shared/sink", false},
		{"shared/stage/stagetest", "functions/storefront", true},
		{"shared/config", "infra/local/manifest", true},
		{"functions/storefront/internal/api", "functions/storefront/internal/order", false},
		{"functions/storefront", "functions/backoffice", true},
		{"functions/storefront", "infra/local", true},
		{"infra/local/cmd/function", "functions/storefront", false},
		{"infra/local/e2e", "scripts/audit", true},
		{"infra/knative/verify", "events", false},
		{"infra/knative/verify", "infra/local/manifest", true},
		{"scripts/audit", "shared/payment", false},
		{"scripts/audit", "functions/storefront", true},
		{"shared/stage", "eventsource", true},
	} {
		if got := wrongImport(test.importer, test.imported); (got != "") != test.wrong {
			t.Errorf("wrongImport(%s, %s) = %q, want a reason: %t", test.importer, test.imported, got, test.wrong)
		}
	}
}
