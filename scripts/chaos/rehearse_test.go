package main

import (
	"testing"
	"time"
)

// TestLastBackoff follows deliveries that first fail at any moment of an outage, and
// wants the longest wait after its end to be what is predicted.
func TestLastBackoff(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, time.Minute} {
		longest := time.Duration(0)
		for first := time.Duration(0); first < outage; first += time.Millisecond {
			at, wait := first, firstBackoff
			for at < outage {
				at += wait
				wait *= 2
			}
			longest = max(longest, at-outage)
		}
		if got := lastBackoff(outage); longest > got || longest < got-50*time.Millisecond {
			t.Errorf("after an outage of %s deliveries come up to %s later, predicted %s", outage, longest, got)
		}
	}
}
