package console

import (
	"fmt"
	"maps"
	"time"
)

const (
	// sameTrouble is for how long a trouble that was told isn't told again. What
	// fails is tried many times, for many orders at once, and each time it fails
	// alike.
	sameTrouble = 10 * time.Second
	// maxDeliveries bounds the deliveries whose attempts are counted.
	maxDeliveries = 10_000
)

// troubles know what was told, and what is being tried again.
type troubles struct {
	told     map[string]*trouble
	attempts map[string]int // of deliveries that have failed
}

type trouble struct {
	last time.Time // when it was told
	held int       // how often it came since
}

func newTroubles() *troubles {
	return &troubles{told: map[string]*trouble{}, attempts: map[string]int{}}
}

// judge tells whether a line is worth showing once more, and adds to its text
// what only those before it tell.
func (t *troubles) judge(process string, s *said, now time.Time) bool {
	if s.delivery != "" && !t.count(process+" "+s.delivery, s) {
		return false
	}
	if s.mark == "" {
		return true
	}
	about := s.about
	if about == "" {
		about = s.text
	}
	held, show := t.tell(process+" "+about, now)
	if held > 0 {
		s.text += fmt.Sprintf("  (and %d more like it)", held)
	}
	return show
}

// count counts the attempts at a delivery until there is an end to them.
func (t *troubles) count(delivery string, s *said) bool {
	failed := t.attempts[delivery]
	if s.retry {
		if len(t.attempts) >= maxDeliveries {
			clear(t.attempts)
		}
		t.attempts[delivery] = failed + 1
		s.text += fmt.Sprintf("  (attempt %d)", failed+1)
		return true
	}
	delete(t.attempts, delivery)
	if failed > 0 {
		s.text += fmt.Sprintf("  (attempt %d)", failed+1)
	}
	return failed > 0 || !s.quiet
}

// tell tells whether a trouble is to be told now, and if so, how often it was
// held back since the last time.
func (t *troubles) tell(what string, now time.Time) (held int, show bool) {
	known := t.told[what]
	if known != nil && now.Sub(known.last) < sameTrouble {
		known.held++
		return 0, false
	}
	if known != nil {
		held = known.held
	}
	maps.DeleteFunc(t.told, func(_ string, one *trouble) bool { return now.Sub(one.last) >= 2*sameTrouble })
	t.told[what] = &trouble{last: now}
	return held, true
}
