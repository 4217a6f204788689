package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReport has a report say how often faults really hit, what was found, and how
// to have the storm again.
func TestReport(t *testing.T) {
	t.Parallel()
	tally := newTally()
	for range 2 {
		tally.struck(fault{Kind: kindKill, Target: "storefront"}, 1)
	}
	tally.struck(fault{Kind: kindKill, Target: "storefront"}, 0)
	tally.struck(fault{Kind: kindDelay, Target: "inventory-update"}, 17)
	tally.recovered("storefront", 1200*time.Millisecond)
	tally.audited(true)
	tally.audited(false)
	path := filepath.Join(t.TempDir(), "report.md")
	r := &report{
		options: options{Orders: 300, Rate: 10, Seed: 7, Kills: 9, Without: []string{kindDisk}, Report: path},
		tally:   tally, duplicates: map[string]int{"inventory-update": 3}, took: time.Minute,
		rehearsals: []rehearsal{{away: "broker", lasted: 10 * time.Second, predicted: 20 * time.Second, observed: 9 * time.Second}},
		stories:    []string{"OF-1ZSP6-9JFXA was placed"},
	}
	r.violation("FAIL  stock_is_conserved")
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	r.text(&printed)
	if printed.String() != string(saved) {
		t.Error("what is printed isn't what is saved")
	}
	for _, want := range []string{
		"# Storm 7", "2 kills, 1 other faults, 2 audits meanwhile (1 could not look), 1 violations",
		`make chaos ORDERS=300 RATE=10 SEED=7 KILLS=9 ARGS="--without=disk-full"`, "Left out: disk-full.",
		"| kill | storefront | 3 | 2 | 2 |", "| delay | inventory-update | 1 | 1 | 17 |", "| storefront | 1 | 1.2s | 1.2s |",
		"3 deliveries of events", "| broker | 10s | 20s | 9s |", "FAIL  stock_is_conserved", "OF-1ZSP6-9JFXA was placed",
	} {
		if !strings.Contains(string(saved), want) {
			t.Errorf("the report lacks %q:\n%s", want, saved)
		}
	}
}

func TestFailuresOfAnAudit(t *testing.T) {
	t.Parallel()
	text := "ok    one   fine\nFAIL  two   not fine\n        order 1\n        order 2\nok    three fine\n\n3 checks, 2 violations\n"
	if got, want := failures(text), "FAIL  two   not fine\n        order 1\n        order 2"; got != want {
		t.Errorf("failures() = %q, want %q", got, want)
	}
}

// TestPatchesFit holds the mutants, and the copy of Go's package time, to the source
// that there is: a patch that no longer fits breaks nothing, and so proves nothing.
func TestPatchesFit(t *testing.T) {
	t.Parallel()
	if _, err := skewable(t.Context()); err != nil {
		t.Error(err)
	}
	for name, mutant := range mutants() {
		if _, err := mutant.replacements("../.."); err != nil {
			t.Errorf("mutant %s: %v", name, err)
		}
	}
	if _, err := replaceIn("file", "twice twice", "twice", "once"); err == nil {
		t.Error("a text that is there twice is replaced")
	}
	if _, err := replaceOnce(filepath.Join(t.TempDir(), "nothing"), "a", "b"); err == nil {
		t.Error("a file that isn't there is patched")
	}
}
