package supervisor

import "time"

// Backoff is the pause before a process is started again: First after the first
// failure, doubled for each further one up to Max. A process that ran for Reset
// is forgiven what was before.
type Backoff struct {
	First, Max, Reset time.Duration
}

// DefaultBackoff is shorter than a kubelet's, whose ten seconds to five minutes
// are for crowds of pods.
func DefaultBackoff() Backoff {
	return Backoff{First: time.Second, Max: 10 * time.Second, Reset: 10 * time.Second}
}

// next gives the pause after a process that ran for so long, when the pause
// before it was last.
func (b Backoff) next(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= b.Reset {
		return b.First
	}
	return min(2*last, b.Max)
}
