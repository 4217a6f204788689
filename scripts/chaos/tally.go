package main

import (
	"slices"
	"sync"
	"time"
)

// strike is how faults of a kind went at a target.
type strike struct {
	kind, target string
	tried        int // faults of the plan that were due
	hit          int // faults that met something
	met          int // what they met: requests, connections, records, bytes
}

// tally counts what happens in a storm.
type tally struct {
	mu         sync.Mutex
	strikes    []*strike
	recoveries map[string][]time.Duration
	notes      []string
	audits     int
	blind      int // audits that couldn't look
}

func newTally() *tally { return &tally{recoveries: map[string][]time.Duration{}} }

// struck notes a fault that was carried out, and what it met.
func (t *tally) struck(f fault, met int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.strikes, func(s *strike) bool { return s.kind == f.Kind && s.target == f.Target })
	if i < 0 {
		i = len(t.strikes)
		t.strikes = append(t.strikes, &strike{kind: f.Kind, target: f.Target})
	}
	one := t.strikes[i]
	one.tried++
	one.met += met
	if met > 0 {
		one.hit++
	}
}

func (t *tally) recovered(process string, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recoveries[process] = append(t.recoveries[process], after)
}

func (t *tally) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, text)
}

func (t *tally) audited(looked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.audits++
	if !looked {
		t.blind++
	}
}

// hits is how many faults of a kind met something.
func (t *tally) hits(kind string) (hits int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.strikes {
		if one.kind == kind {
			hits += one.hit
		}
	}
	return hits
}
