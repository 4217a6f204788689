package simulation

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// report tells a failure with its seed and its shortest story.
func report(t *testing.T, seed uint64, found *failure) {
	t.Helper()
	var choices []string
	play(t, seed, func(line string) { choices = append(choices, line) })
	story := shorten(t, drawnBy(seed), choices, found.kind)
	t.Errorf("seed %d: %s: %s\nAgain: make simulation ORDERS=1 SEED=%d\nThe shortest story, of %d steps:\n  %s",
		seed, found.kind, found.text, seed, len(story.told), strings.Join(story.told, "\n  "))
}

// story is a world that was run by a list of choices.
type story struct {
	failure *failure
	// told is all that happened until it went wrong.
	told []string
}

// follow runs a world by choices that are told in words. One that can't be made is
// left out, and after the last all goes on without a fault.
func follow(t *testing.T, s scenario, choices []string) story {
	t.Helper()
	var made story
	synctest.Test(t, func(*testing.T) {
		w := newWorld(s)
		w.trace = func(line string) {
			if made.failure == nil {
				made.told = append(made.told, line)
			}
		}
		defer w.end()
		for _, line := range choices {
			if w.failure != nil {
				break
			}
			if c, possible := w.find(line); possible {
				w.do(c)
			}
		}
		if w.failure == nil {
			w.rest()
		}
		made.failure = w.failure
	})
	return made
}

// find looks for a choice that is told so.
func (w *world) find(line string) (choice, bool) {
	all := w.possible()
	i := slices.IndexFunc(all, func(c choice) bool { return w.tell(c) == line })
	if i < 0 { // where an attempt before was left out, the next one does as well
		i = slices.IndexFunc(all, func(c choice) bool { return uncounted(w.tell(c)) == uncounted(line) })
	}
	if i < 0 {
		return choice{}, false
	}
	return all[i], true
}

var counted = regexp.MustCompile(`, time \d+,`)

func uncounted(line string) string { return counted.ReplaceAllString(line, "") }

// possible lists all that may happen next.
func (w *world) possible() []choice {
	all := []choice{{verb: moment}, {verb: long}, {verb: sweep}}
	for _, c := range w.waiting() {
		all = append(all, choice{verb: goOn, call: c}, choice{verb: fail, call: c}, choice{verb: lose, call: c},
			choice{verb: die, call: c}, choice{verb: dieAfter, call: c})
		if c.overHTTP() {
			all = append(all, choice{verb: dieUnder, call: c})
		}
	}
	for _, m := range w.broker.queue {
		all = append(all, choice{verb: deliver, message: m}, choice{verb: vanish, message: m}, choice{verb: twice, message: m})
	}
	for _, r := range w.broker.late {
		all = append(all, choice{verb: arrive, late: r})
	}
	for _, o := range w.orders {
		if o.mayCancel() {
			all = append(all, choice{verb: cancel, order: o})
		}
		if !o.answered && !o.placing {
			all = append(all, choice{verb: place, order: o})
		}
	}
	return all
}

// shorten leaves out of a story whatever it goes wrong without: first orders, then
// choices, in ever smaller pieces.
func shorten(t *testing.T, s scenario, choices []string, kind string) story {
	t.Helper()
	fails := func(s scenario, choices []string) (story, bool) {
		made := follow(t, s, choices)
		return made, made.failure != nil && made.failure.kind == kind
	}
	best, again := fails(s, choices)
	if !again { // by words it isn't the same: better the long story than none
		return story{told: choices}
	}
	for i := len(s.wishes) - 1; i >= 0 && len(s.wishes) > 1; i-- {
		fewer := s
		fewer.wishes = slices.Delete(slices.Clone(s.wishes), i, i+1)
		// Of an order that is in no wish no line of the story can come true.
		if made, still := fails(fewer, choices); still {
			s, best = fewer, made
		}
	}
	for size := len(choices) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(choices); {
			fewer := slices.Delete(slices.Clone(choices), at, at+size)
			if made, still := fails(s, fewer); still {
				choices, best = fewer, made
				continue
			}
			at += size
		}
	}
	return best
}
