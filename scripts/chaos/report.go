package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what a storm came to.
type report struct {
	options    options
	planned    [][]fault
	tally      *tally
	took       time.Duration
	customers  string // what simulate says
	operators  string // what came of what operators did
	audit      string // what the last audit says
	duplicates map[string]int
	replayed   int
	rehearsals []rehearsal
	stories    []string
	kept       string

	mu         sync.Mutex
	violations []string
}

// violation adds what must not be.
func (r *report) violation(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, text)
}

// violated tells whether there is something that must not be.
func (r *report) violated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.violations) > 0
}

// save writes the report to a file, if one is wanted.
func (r *report) save() error {
	if r.options.Report == "" {
		return nil
	}
	var text strings.Builder
	r.markdown(&text)
	if err := os.WriteFile(r.options.Report, []byte(text.String()), 0o644); err != nil { //nolint:gosec // for everybody to read
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// text prints the report for a terminal: it is Markdown that reads well as it is.
func (r *report) text(out io.Writer) { r.markdown(out) }

func (r *report) markdown(out io.Writer) {
	fmt.Fprintf(out, "\n# Storm %d\n\n%s\n", r.options.Seed, r.verdict())
	fmt.Fprintf(out, "\n%d orders at %g a second, after %s. Run again by `%s`: customers and plan are the same; which request a fault meets is not.\n",
		r.options.Orders, r.options.Rate, r.took.Round(time.Second), r.command())
	if len(r.options.Without) > 0 {
		fmt.Fprintf(out, "Left out: %s.\n", strings.Join(r.options.Without, ", "))
	}
	if r.options.Mutant != "" {
		fmt.Fprintf(out, "Broken on purpose: %s.\n", mutants()[r.options.Mutant].text)
	}
	section(out, "Customers", r.customers)
	section(out, "Operators", r.operators)
	r.faults(out)
	r.recoveries(out)
	r.doubles(out)
	r.outages(out)
	section(out, "Audit", r.audit)
	section(out, "Violations", strings.Join(r.violations, "\n"))
	section(out, "Stories", strings.Join(r.stories, "\n\n"))
	section(out, "Notes", strings.Join(r.tally.notes, "\n"))
	if r.kept != "" {
		fmt.Fprintf(out, "\nThe data are kept in %s.\n", r.kept)
	}
}

// verdict is the report in one line.
func (r *report) verdict() string {
	hits := 0
	for _, one := range r.tally.strikes {
		hits += one.hit
	}
	return fmt.Sprintf("%d kills, %d other faults, %d audits meanwhile (%d could not look), %d violations.",
		r.tally.hits(kindKill), hits-r.tally.hits(kindKill), r.tally.audits, r.tally.blind, len(r.violations))
}

// command is how to have the same storm again.
func (r *report) command() string {
	text := fmt.Sprintf("make chaos ORDERS=%d RATE=%g SEED=%d", r.options.Orders, r.options.Rate, r.options.Seed)
	var args []string
	if r.options.Kills > 0 {
		text += fmt.Sprintf(" KILLS=%d", r.options.Kills)
	}
	switch {
	case r.options.Mutant != "":
		args = append(args, "--mutant="+r.options.Mutant)
	case r.options.KafkaAlone:
		args = append(args, "--kafka-alone")
	case len(r.options.Without) > 0:
		args = append(args, "--without="+strings.Join(r.options.Without, ","))
	}
	if len(args) > 0 {
		text += fmt.Sprintf(" ARGS=%q", strings.Join(args, " "))
	}
	return text
}

func section(out io.Writer, title, text string) {
	if text != "" {
		fmt.Fprintf(out, "\n## %s\n\n```\n%s\n```\n", title, strings.TrimRight(text, "\n"))
	}
}

func (r *report) faults(out io.Writer) {
	fmt.Fprintf(out, "\n## Faults\n\n| kind | target | tried | hit | met |\n|---|---|---:|---:|---:|\n")
	strikes := slices.Clone(r.tally.strikes)
	slices.SortFunc(strikes, func(a, b *strike) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds(), a.kind), slices.Index(kinds(), b.kind)), strings.Compare(a.target, b.target))
	})
	for _, one := range strikes {
		fmt.Fprintf(out, "| %s | %s | %d | %d | %d |\n", one.kind, one.target, one.tried, one.hit, one.met)
	}
	planned, tried := 0, 0
	for _, lane := range r.planned {
		planned += len(lane)
	}
	for _, one := range strikes {
		tried += one.tried
	}
	if tried < planned {
		fmt.Fprintf(out, "\n%d of %d planned faults were carried out before the last order had come to its end.\n", tried, planned)
	}
	fmt.Fprintln(out, "\nMet are requests, connections, records, bytes of a log, jumps of a clock, or functions rolled.")
}

func (r *report) recoveries(out io.Writer) {
	if len(r.tally.recoveries) == 0 {
		return
	}
	fmt.Fprintf(out, "\n## From kill to back at work\n\n| process | times | median | longest |\n|---|---:|---:|---:|\n")
	for _, process := range slices.Sorted(maps.Keys(r.tally.recoveries)) {
		all := slices.Sorted(slices.Values(r.tally.recoveries[process]))
		fmt.Fprintf(out, "| %s | %d | %s | %s |\n", process, len(all), round(all[len(all)/2]), round(all[len(all)-1]))
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func (r *report) doubles(out io.Writer) {
	total := 0
	for _, count := range r.duplicates {
		total += count
	}
	fmt.Fprintf(out, "\n## Duplicates\n\n%d deliveries of events that were handled before had no effect; %d records came again at the end, with no effect.\n", total, r.replayed)
	for _, function := range slices.Sorted(maps.Keys(r.duplicates)) {
		fmt.Fprintf(out, "- %s: %d\n", function, r.duplicates[function])
	}
}
