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

// TestPredict follows deliveries that fail until what is away is at work again, and
// wants none to come later than predicted.
func TestPredict(t *testing.T) {
	t.Parallel()
	const outage = 10 * time.Second
	longest := time.Duration(0)
	for first := time.Duration(0); first < outage+restart; first += time.Millisecond {
		at, wait := first, firstBackoff
		for at < outage+restart {
			at += wait
			wait *= 2
		}
		longest = max(longest, at-outage)
	}
	none := options{} // no backlog
	for _, away := range []string{processPostgres, processBroker, processSink, processPayment, processMailbox, processS3, "inventory-update"} {
		if predicted, _ := none.predict(away, outage, 0); longest > predicted {
			t.Errorf("%s: deliveries come up to %s after an outage of %s, predicted %s", away, longest, outage, predicted)
		}
		if predicted, _ := none.predict(away, outage, 1); predicted < unpublishedAfter+pings {
			t.Errorf("%s: predicted %s, though order-recovery takes up to %s", away, predicted, unpublishedAfter+pings)
		}
	}
}
