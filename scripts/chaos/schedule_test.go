package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someTargets() targets {
	return targets{
		processes: []string{"broker", "inventory-update", "kafka-source", "postgres"},
		functions: []string{"inventory-update"},
		readers:   []string{"inventory-update"},
		outside:   []link{{"payment-verification", "payment-provider"}},
		links:     []link{{"inventory-update", "postgres"}, {"kafka-source", "broker"}},
	}
}

func TestScheduleFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	one, same := schedule(options{Orders: 1000, Rate: 10, Seed: 7}, someTargets()), schedule(options{Orders: 1000, Rate: 10, Seed: 7}, someTargets())
	if diff := cmp.Diff(one, same); diff != "" {
		t.Errorf("the same seed makes another plan:\n%s", diff)
	}
	if cmp.Equal(one, schedule(options{Orders: 1000, Rate: 10, Seed: 8}, someTargets())) {
		t.Error("another seed makes the same plan")
	}
}

// TestScheduleHasEverything wants every kind, every process killed, and all of it
// while customers come.
func TestScheduleHasEverything(t *testing.T) {
	t.Parallel()
	o := options{Orders: 300, Rate: 10, Seed: 1}
	seen, killed := map[string]int{}, map[string]int{}
	for _, lane := range schedule(o, someTargets()) {
		last := time.Duration(0)
		for _, f := range lane {
			seen[f.Kind]++
			if f.Kind == kindKill {
				killed[f.Target]++
			}
			if f.At < last || f.At > o.lasts() {
				t.Errorf("%+v is not after the one before, or after the last customer", f)
			}
			last = f.At
		}
	}
	for _, kind := range kinds() {
		if seen[kind] == 0 {
			t.Errorf("no fault of kind %s", kind)
		}
	}
	for _, process := range someTargets().processes {
		if killed[process] < 2 {
			t.Errorf("%s is killed %d times, want twice at least", process, killed[process])
		}
	}
}

func TestScheduleLeavesOut(t *testing.T) {
	t.Parallel()
	o := options{Orders: 300, Rate: 10, Kills: 30, KafkaAlone: true}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for _, lane := range schedule(o, someTargets()) {
		for _, f := range lane {
			if f.Kind == kindKill {
				kills++
			}
			if (f.Kind != kindKill && f.Kind != kindStrand) || (f.Target != "inventory-update" && f.Target != processSource) {
				t.Errorf("%s of %s, though Kafka's own promises are what is tried", f.Kind, f.Target)
			}
		}
	}
	if kills != 30 {
		t.Errorf("%d kills, want the 30 that were asked for", kills)
	}
}

// TestScheduleOfAMutant wants each mutant to meet what it needs, twice at least, and
// the control to meet all of that; and the dispatcher to die once more at the end.
func TestScheduleOfAMutant(t *testing.T) {
	t.Parallel()
	var all []need
	for name, mutant := range mutants() {
		o := options{Orders: 200, Rate: 6, Kills: 16, Mutant: name}
		if err := o.complete(); err != nil {
			t.Fatal(err)
		}
		met := map[need]int{}
		var last fault
		for _, lane := range schedule(o, someTargets()) {
			last = lane[len(lane)-1]
			for _, f := range lane {
				met[need{f.Kind, f.Target}]++
			}
		}
		for _, one := range mutant.needs {
			if met[one] < 2 {
				t.Errorf("mutant %s: %s of %s %d times, want twice at least", name, one.kind, one.target, met[one])
			}
		}
		if last.Kind != kindKill || last.Target != processSource || last.At <= o.lasts() {
			t.Errorf("mutant %s: the last fault is %+v, want the dispatcher killed after the last customer", name, last)
		}
		all = append(all, mutant.needs...)
	}
	for _, one := range all {
		if !slices.Contains(mutants()["none"].needs, one) {
			t.Errorf("the control doesn't meet %s of %s", one.kind, one.target)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []options{{}, {Orders: 1}, {Orders: 1, Rate: 1, Without: []string{"rain"}}, {Orders: 1, Rate: 1, Mutant: "nobody"}} {
		if err := o.complete(); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
