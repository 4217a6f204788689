package conformance

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

func testErrorExtensions(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	body := strings.Repeat("ü", 600)
	sink := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Kne-Why", "no such article")
		w.Header().Set("kne-HINT", "42")
		w.Header().Set("X-Other", "stays here")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, body)
	})
	dead := receive(t, target, nil)
	s := source(target, sink, topic)
	s.Delivery = retrying(0, dead)
	target.Apply(t, s)
	letterRecord := event(topic, "bad", "data")
	letterRecord.Headers = append(letterRecord.Headers, record("", "", "ce_partitionkey: k").Headers...)
	k.produce(letterRecord)

	original := sink.next()
	letter := dead.next()
	want := original.header.Clone()
	want.Set("Ce-Knativeerrordest", s.Sink)
	want.Set("Ce-Knativeerrorcode", "422")
	want.Set("Ce-Knativeerrordata", base64.StdEncoding.EncodeToString([]byte(body)[:1024]))
	want.Set("Ce-Why", "no such article")
	want.Set("Ce-Hint", "42")
	if diff := cmp.Diff(events(want), events(letter.header)); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	if letter.body != "data" {
		t.Errorf("data of dead letter = %q", letter.body)
	}
}

// testNoErrorData has a refusal without a word.
func testNoErrorData(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	dead := receive(t, target, nil)
	s := source(target, receive(t, target, status(http.StatusUnprocessableEntity)), topic)
	s.Delivery = retrying(0, dead)
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"))
	letter := dead.next()
	if got, found := letter.header["Ce-Knativeerrordata"]; found && got[0] != "" {
		t.Errorf("knativeerrordata = %q", got)
	}
	if got := letter.header.Get("Ce-Knativeerrorcode"); got != "422" {
		t.Errorf("knativeerrorcode = %q", got)
	}
}

// testDeadLetterDown loses the event and goes on with the next.
func testDeadLetterDown(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "bad" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	dead := receive(t, target, status(http.StatusServiceUnavailable))
	s := source(target, sink, topic)
	s.Ordering = kafkasource.Ordered
	s.Delivery = retrying(2, dead)
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"), event(topic, "good", "x"))
	if got := []string{sink.next().id(), sink.next().id()}; !slices.Equal(got, []string{"bad", "good"}) {
		t.Errorf("delivered %q, want bad and good", got)
	}
	if diff := cmp.Diff(map[string]int{"bad": 3}, dead.nextIDs(3)); diff != "" {
		t.Errorf("attempts at the dead letter sink (-want +got):\n%s", diff)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 2)
	dead.wantNone()
}

// testDeadLetterRefused has a dead letter sink that wants no such event: it is
// not asked again.
func testDeadLetterRefused(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	dead := receive(t, target, status(http.StatusBadRequest))
	s := source(target, receive(t, target, status(http.StatusForbidden)), topic)
	s.Delivery = retrying(5, dead)
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"))
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	if diff := cmp.Diff(map[string]int{"bad": 1}, dead.nextIDs(1)); diff != "" {
		t.Errorf("attempts at the dead letter sink (-want +got):\n%s", diff)
	}
	dead.wantNone()
}

// testNoDeadLetterSink has a delivery block that only lacks everything: no
// retry, and the event is gone.
func testNoDeadLetterSink(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	sink := receive(t, target, status(http.StatusServiceUnavailable))
	s := source(target, sink, topic)
	target.Apply(t, s)
	k.produce(event(topic, "gone", "x"))
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	if diff := cmp.Diff(map[string]int{"gone": 1}, sink.nextIDs(1)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	sink.wantNone()
}

// testDeadLetterHealed has a dead letter sink that is back at the second attempt.
func testDeadLetterHealed(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	var attempt atomic.Int32
	dead := receive(t, target, func(w http.ResponseWriter, _ *http.Request) {
		if attempt.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := source(target, receive(t, target, status(http.StatusForbidden)), topic)
	s.Delivery = retrying(2, dead)
	target.Apply(t, s)
	k.produce(event(topic, "bad", "x"))
	first, second := dead.next(), dead.next()
	if waited := second.at.Sub(first.at); waited < *s.Delivery.BackoffDelay-time.Millisecond {
		t.Errorf("tried again after %s, want the delay of the source", waited)
	}
	k.awaitCommit(s.ConsumerGroup, topic, 1)
	dead.wantNone()
}

// testDeadLetterOfNoEvent has a record that is none: the letter is what it was
// made into.
func testDeadLetterOfNoEvent(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	dead := receive(t, target, nil)
	s := source(target, receive(t, target, status(http.StatusBadRequest)), topic)
	s.Delivery = retrying(0, dead)
	target.Apply(t, s)
	k.produce(record(topic, "text", "shop: 7", "content-type: text/plain"))
	letter := dead.next()
	if letter.id() != "partition:0/offset:0" || letter.header.Get("Ce-Kafkaheadershop") != "7" || letter.body != "text" {
		t.Errorf("letter %v with %q", letter.header, letter.body)
	}
}

// testDeadLetterStructured has a structured record: letters are binary, as all
// that a source sends.
func testDeadLetterStructured(t *testing.T, target Target) {
	k := connect(t, target)
	topic := k.topic(1)
	dead := receive(t, target, nil)
	s := source(target, receive(t, target, status(http.StatusBadRequest)), topic)
	s.Delivery = retrying(0, dead)
	s.CEOverrides = map[string]string{"stage": "test"}
	target.Apply(t, s)
	k.produce(record(topic, `{"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"application/json","data":{"a":1}}`,
		"content-type: application/cloudevents+json"))
	letter := dead.next()
	want := map[string]string{"Ce-Id": "7", "Ce-Stage": "test", "Content-Type": "application/json", "Prefer": "reply", "Kn-Namespace": s.Namespace}
	for name, value := range want {
		if got := letter.header.Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
	if letter.body != `{"a":1}` {
		t.Errorf("body = %q", letter.body)
	}
}
