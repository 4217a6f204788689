package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// testStatuses sends an event for every status and looks what becomes of it.
func testStatuses(t *testing.T, target Target) {
	taken := []int{200, 201, 202, 204, 299}
	refused := []int{300, 301, 302, 304, 307, 400, 401, 403, 405, 406, 410, 411, 412, 413, 414, 415, 418, 422, 423, 425, 451}
	retried := []int{404, 408, 409, 429, 500, 501, 502, 503, 504, 507, 511, 599}
	const retries = 2

	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.Header.Get("Ce-Id"))
		w.WriteHeader(code)
	})
	letters := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(retries, letters)
	target.Apply(t, s)

	type outcome struct {
		Attempts, Dead int
		ErrorCode      string
	}
	want, dead := map[string]outcome{}, 0
	attempts := 0
	for _, code := range slices.Concat(taken, refused, retried) {
		id := strconv.Itoa(code)
		k.produce(event(topic, id, "x"))
		expected := outcome{Attempts: 1}
		if slices.Contains(retried, code) {
			expected.Attempts += retries
		}
		if !slices.Contains(taken, code) {
			expected.Dead, expected.ErrorCode = 1, id
			dead++
		}
		want[id] = expected
		attempts += expected.Attempts
	}
	got := map[string]outcome{}
	for range dead {
		letter := letters.next()
		o := got[letter.id()]
		o.Dead, o.ErrorCode = o.Dead+1, letter.header.Get("Ce-Knativeerrorcode")
		got[letter.id()] = o
	}
	k.awaitCommit(s.ConsumerGroup, topic, int64(len(want)))
	for id, times := range sink.nextIDs(attempts) {
		o := got[id]
		o.Attempts = times
		got[id] = o
	}
	sink.wantNone()
	letters.wantNone()
	for id := range want {
		target.sub(t, id, func(t *testing.T) {
			if diff := cmp.Diff(want[id], got[id]); diff != "" {
				t.Errorf("what became of the event (-want +got):\n%s", diff)
			}
		})
	}
}

// testHealed has a function that is back at the second retry.
func testHealed(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	var attempt atomic.Int32
	sink := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
		if attempt.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(5, dead)
	target.Apply(t, s)
	k.produce(event(topic, "healed", "x"))
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	if diff := cmp.Diff(map[string]int{"healed": 3}, sink.nextIDs(3)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	sink.wantNone()
	dead.wantNone()
}

func testTransport(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(2, dead)
	target.Apply(t, s)
	k.produce(event(topic, "cut", "x"))
	wantNoResponse(t, s, dead.next())
	if diff := cmp.Diff(map[string]int{"cut": 3}, sink.nextIDs(3)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// testNobodyListens has a function that isn't there.
func testNobodyListens(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	dead := receive(t, target, nil)
	s := source(target, &receiver{url: "http://127.0.0.1:1"}, topic)
	s.Delivery = retrying(1, dead)
	target.Apply(t, s)
	k.produce(event(topic, "alone", "x"))
	wantNoResponse(t, s, dead.next())
	k.awaitCommit(s.ConsumerGroup, topic, 1)
}

func testTimeout(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(1, dead)
	s.Delivery.Timeout = 300 * time.Millisecond
	target.Apply(t, s)
	k.produce(event(topic, "late", "x"))
	wantNoResponse(t, s, dead.next())
	if diff := cmp.Diff(map[string]int{"late": 2}, sink.nextIDs(2)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

func wantNoResponse(t *testing.T, s kafkasource.Source, letter received) {
	t.Helper()
	if got := letter.header.Get("Ce-Knativeerrordest"); got != s.Sink {
		t.Errorf("knativeerrordest = %q, want %q", got, s.Sink)
	}
	for _, name := range []string{"Ce-Knativeerrorcode", "Ce-Knativeerrordata"} {
		if got, found := letter.header[name]; found {
			t.Errorf("%s = %q without a response", name, got)
		}
	}
}

// testBackoff measures the least time between the attempts.
func testBackoff(t *testing.T, target Target) {
	const unit = 100 * time.Millisecond
	delay := unit
	for name, test := range map[string]struct {
		delivery *kafkasource.Delivery
		least    []time.Duration
	}{
		"linear": {
			&kafkasource.Delivery{Retry: 3, BackoffPolicy: kafkasource.Linear, BackoffDelay: &delay},
			[]time.Duration{unit, 2 * unit, 3 * unit},
		},
		"exponential": {
			&kafkasource.Delivery{Retry: 3, BackoffPolicy: kafkasource.Exponential, BackoffDelay: &delay},
			[]time.Duration{2 * unit, 4 * unit, 8 * unit},
		},
		"no policy is exponential": {
			&kafkasource.Delivery{Retry: 3, BackoffDelay: &delay},
			[]time.Duration{2 * unit, 4 * unit, 8 * unit},
		},
		"no delay is 200 ms": {
			&kafkasource.Delivery{Retry: 2}, []time.Duration{400 * time.Millisecond, 800 * time.Millisecond},
		},
		"no delivery block begins with 600 ms": {
			nil, []time.Duration{600 * time.Millisecond, 1200 * time.Millisecond},
		},
	} {
		target.sub(t, name, func(t *testing.T) {
			k := connect(t, target)
			topic := k.topic(1)
			sink := receive(t, target, status(http.StatusServiceUnavailable))
			s := source(target, sink, topic)
			s.Delivery = test.delivery
			target.Apply(t, s)
			k.produce(event(topic, "again", "x"))
			last := sink.next().at
			for i, want := range test.least {
				at := sink.next().at
				// No later than twice that and a little: the next step would be.
				if got := at.Sub(last); got < want-time.Millisecond || got > 2*want+target.Patience/20 {
					t.Errorf("retry %d came after %s, want %s", i+1, got, want)
				}
				last = at
			}
		})
	}
}

// testLastAttempt has attempts that fail in different ways: the letter tells of
// the last.
func testLastAttempt(t *testing.T, target Target) {
	for name, test := range map[string]struct {
		answers  []int // 0 cuts the connection
		attempts int
		code     string
	}{
		"refused in the end": {[]int{503, 503, 422}, 3, "422"},
		"cut in the end":     {[]int{503, 503, 503, 0}, 4, ""},
		"another 5xx":        {[]int{500, 502, 503, 504}, 4, "504"},
	} {
		target.sub(t, name, func(t *testing.T) {
			k := connect(t, target)
			topic := k.topic(1)
			var attempt atomic.Int32
			sink := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
				code := test.answers[min(int(attempt.Add(1)), len(test.answers))-1]
				if code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(code)
			})
			dead := receive(t, target, nil)
			s := source(target, sink, topic)
			s.Delivery = retrying(3, dead)
			target.Apply(t, s)
			k.produce(event(topic, "last", "x"))
			if got := dead.next().header.Get("Ce-Knativeerrorcode"); got != test.code {
				t.Errorf("knativeerrorcode = %q, want %q", got, test.code)
			}
			if got := len(sink.requests); got != test.attempts {
				t.Errorf("attempts = %d, want %d", got, test.attempts)
			}
		})
	}
}

// testAnswerCut says 200 and dies within its answer: that is no answer.
func testAnswerCut(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	var attempt atomic.Int32
	sink := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
		if attempt.Add(1) > 1 {
			return
		}
		w.Header().Set("Content-Length", "100")
		_, _ = fmt.Fprint(w, "half of")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := source(target, sink, topic)
	s.Delivery = retrying(2, nil)
	target.Apply(t, s)
	k.produce(event(topic, "cut", "x"))
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	if diff := cmp.Diff(map[string]int{"cut": 2}, sink.nextIDs(2)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// testRedirect leads elsewhere, where no event goes.
func testRedirect(t *testing.T, target Target) {
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		target.sub(t, strconv.Itoa(code), func(t *testing.T) {
			k := connect(t, target)
			topic := k.topic(1)
			elsewhere, dead := receive(t, target, nil), receive(t, target, nil)
			sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url, code) })
			s := source(target, sink, topic)
			s.Delivery = retrying(2, dead)
			target.Apply(t, s)
			k.produce(event(topic, "led", "x"))
			if got := dead.next().header.Get("Ce-Knativeerrorcode"); got != strconv.Itoa(code) {
				t.Errorf("knativeerrorcode = %q, want %d", got, code)
			}
			sink.next()
			sink.wantNone()
			elsewhere.wantNone()
		})
	}
}

// testSeeOther leads elsewhere by 303: that is asked by GET, though with all of
// the event, and what it answers is the outcome.
func testSeeOther(t *testing.T, target Target) {
	for name, test := range map[string]struct {
		answers []int
		targets []string
		posts   int
		dead    string
	}{
		"taken":           {[]int{200}, []string{"/a?b=c"}, 1, ""},
		"refused":         {[]int{422}, []string{"/a?b=c"}, 1, "422"},
		"taken at last":   {[]int{503, 200}, []string{"/a?b=c", "/a?b=c"}, 2, ""},
		"led on":          {[]int{307, 200}, []string{"/a?b=c", "/on"}, 1, ""},
		"led on, refused": {[]int{301, 400}, []string{"/a?b=c", "/on"}, 1, "400"},
	} {
		target.sub(t, name, func(t *testing.T) {
			k := connect(t, target)
			topic := k.topic(1)
			var asked atomic.Int32
			elsewhere := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/on")
				w.WriteHeader(test.answers[min(int(asked.Add(1)), len(test.answers))-1])
			})
			sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", elsewhere.url+"/a?b=c")
				w.WriteHeader(http.StatusSeeOther)
			})
			dead := receive(t, target, nil)
			s := source(target, sink, topic)
			s.Delivery = retrying(2, dead)
			target.Apply(t, s)
			k.produce(event(topic, "led", "x"))
			k.awaitCommit(s.ConsumerGroup, topic, 1)
			if diff := cmp.Diff(map[string]int{"led": test.posts}, sink.nextIDs(test.posts)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			for _, want := range test.targets {
				if got := elsewhere.next(); got.method != http.MethodGet || got.target != want || got.body != "x" || got.id() != "led" {
					t.Errorf("%s %s with %q and %v, want GET %s with the event", got.method, got.target, got.body, got.header, want)
				}
			}
			elsewhere.wantNone()
			if test.dead != "" {
				wantCode(t, s, dead.next(), test.dead)
			}
			sink.wantNone()
			dead.wantNone()
		})
	}
}

func wantCode(t *testing.T, s kafkasource.Source, letter received, code string) {
	t.Helper()
	if got := letter.header.Get("Ce-Knativeerrorcode"); got != code {
		t.Errorf("knativeerrorcode = %q, want %q", got, code)
	}
	if got := letter.header.Get("Ce-Knativeerrordest"); got != s.Sink {
		t.Errorf("knativeerrordest = %q, want %q", got, s.Sink)
	}
}

// testReplyDiscarded answers with an event, which goes nowhere.
func testReplyDiscarded(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "reply", "Ce-Source": "/x", "Ce-Type": "reply.v1",
		} {
			w.Header().Set(name, value)
		}
		_, _ = fmt.Fprint(w, "reply")
	})
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(0, dead)
	target.Apply(t, s)
	k.produce(event(topic, "question", "x"))
	sink.next()
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	if end := k.end(topic); end != 1 {
		t.Errorf("records in the topic = %d, want 1", end)
	}
	sink.wantNone()
	dead.wantNone()
}
