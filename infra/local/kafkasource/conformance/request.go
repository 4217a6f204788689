package conformance

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// events are the headers that belong to the event, by lower-case name.
func events(header http.Header) map[string]string {
	found := map[string]string{}
	for name, values := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "ce-") || name == "content-type" {
			found[name] = strings.Join(values, "|")
		}
	}
	return found
}

// deliver sends one record through a source and returns the request.
func deliver(t *testing.T, target Target, r *kgo.Record, change func(*kafkasource.Source)) (received, kafkasource.Source) {
	t.Helper()
	k := connect(t, target)
	r.Topic = k.topic(1)
	sink := receive(t, target, nil)
	s := source(target, sink, r.Topic)
	if change != nil {
		change(&s)
	}
	target.Apply(t, s)
	k.produce(r)
	return sink.next(), s
}

func wantEvent(t *testing.T, got received, want map[string]string, body string) {
	t.Helper()
	if diff := cmp.Diff(want, events(got.header)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if got.body != body {
		t.Errorf("body = %q, want %q", got.body, body)
	}
}

func testBinaryRequest(t *testing.T, target Target) {
	r := record("", `{"a":1}`,
		"ce_specversion: 1.0", "ce_id: 1/placed", "ce_source: /shop", "ce_type: placed.v1", "ce_subject: 1",
		"ce_time: 2026-01-02T03:04:05.678Z", "ce_dataschema: https://example.test/placed.json",
		"ce_PartitionKey: 1", "ce_traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"content-type: application/json", "other: is no attribute")
	r.Key = []byte("another")
	got, s := deliver(t, target, r, func(s *kafkasource.Source) {
		s.CEOverrides = map[string]string{"stage": "test", "knativekafkaoffset": "mine"}
	})
	wantEvent(t, got, map[string]string{
		"ce-specversion": "1.0", "ce-id": "1/placed", "ce-source": "/shop", "ce-type": "placed.v1", "ce-subject": "1",
		"ce-time": "2026-01-02T03:04:05.678Z", "ce-dataschema": "https://example.test/placed.json",
		"ce-partitionkey": "1", "ce-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"ce-knativekafkapartition": "0", "ce-knativekafkaoffset": "mine", "ce-stage": "test",
		"content-type": "application/json",
	}, `{"a":1}`)
	if got := got.header.Get("Prefer"); got != "reply" {
		t.Errorf("Prefer = %q", got)
	}
	if got := got.header.Get("Kn-Namespace"); got != s.Namespace {
		t.Errorf("Kn-Namespace = %q, want %q", got, s.Namespace)
	}
}

func testStructuredRequest(t *testing.T, target Target) {
	r := record("", `{"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"application/json","count":3,"data":{"a":1}}`,
		"content-type: application/cloudevents+json; charset=UTF-8")
	got, _ := deliver(t, target, r, nil)
	wantEvent(t, got, map[string]string{
		"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/s", "ce-type": "t", "ce-count": "3",
		"ce-knativekafkapartition": "0", "ce-knativekafkaoffset": "0", "content-type": "application/json",
	}, `{"a":1}`)
}

func testNullValue(t *testing.T, target Target) {
	r := event("", "empty", "")
	r.Value = nil
	got, _ := deliver(t, target, r, nil)
	wantEvent(t, got, map[string]string{
		"ce-specversion": "1.0", "ce-id": "empty", "ce-source": "/conformance", "ce-type": "test.v1",
		"ce-knativekafkapartition": "0", "ce-knativekafkaoffset": "0",
	}, "")
}

// testRecordKey has a key that only Kafka knows: an event is not given it.
func testRecordKey(t *testing.T, target Target) {
	r := event("", "keyed", "x")
	r.Key = []byte("k")
	got, _ := deliver(t, target, r, nil)
	wantEvent(t, got, map[string]string{
		"ce-specversion": "1.0", "ce-id": "keyed", "ce-source": "/conformance", "ce-type": "test.v1",
		"ce-knativekafkapartition": "0", "ce-knativekafkaoffset": "0",
	}, "x")
}

// testSinkAddress has a sink with a path and a query.
func testSinkAddress(t *testing.T, target Target) {
	got, _ := deliver(t, target, event("", "here", "x"), func(s *kafkasource.Source) { s.Sink += "/a/b?c=d" })
	if got.target != "/a/b?c=d" {
		t.Errorf("sent to %q", got.target)
	}
}

// testContent has data of all sorts, which arrive as they are.
func testContent(t *testing.T, target Target) {
	every := make([]byte, 900<<10)
	for i := range every {
		every[i] = byte(i)
	}
	for name, test := range map[string]struct{ contentType, body string }{
		"large and binary":     {"application/octet-stream", string(every)},
		"broken JSON":          {"application/json", `{"a":`},
		"without content type": {"", "x"},
		"text":                 {"text/plain; charset=utf-8", "grüße"},
		"empty":                {"application/json", ""},
	} {
		target.sub(t, name, func(t *testing.T) {
			r := event("", "content", test.body)
			if test.contentType != "" {
				r.Headers = append(r.Headers, record("", "", "content-type: "+test.contentType).Headers...)
			}
			got, _ := deliver(t, target, r, nil)
			if got.body != test.body || got.header.Get("Content-Type") != test.contentType {
				t.Errorf("%d bytes of %q, want %d of %q", len(got.body), got.header.Get("Content-Type"), len(test.body), test.contentType)
			}
		})
	}
}

// testAttributes has records that are events, if only just.
func testAttributes(t *testing.T, target Target) {
	const structured = "content-type: application/cloudevents+json"
	for name, test := range map[string]struct {
		record *kgo.Record
		want   map[string]string
		body   string
	}{
		"override of an extension": {
			record("", "x", "ce_specversion: 1.0", "ce_id: 1", "ce_source: /s", "ce_type: t", "ce_stage: of the event"),
			map[string]string{"ce-stage": "of the source"}, "x",
		},
		"structured, binary data": {
			record("", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AAH/"}`, structured),
			map[string]string{"ce-id": "1"}, "\x00\x01\xff",
		},
		"structured, no data": {
			record("", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, structured), map[string]string{"ce-id": "1"}, "",
		},
		"structured, a flag": {
			record("", `{"specversion":"1.0","id":"1","source":"/s","type":"t","flag":true}`, structured), map[string]string{"ce-flag": "true"}, "",
		},
		"header in capitals": {
			record("", "x", "ce_specversion: 1.0", "ce_id: 1", "ce_source: /s", "ce_type: t", "CE_LOST: 1"),
			map[string]string{"ce-id": "1", "ce-lost": ""}, "x",
		},
	} {
		target.sub(t, name, func(t *testing.T) {
			got, _ := deliver(t, target, test.record, func(s *kafkasource.Source) {
				s.CEOverrides = map[string]string{"stage": "of the source"}
			})
			for name, want := range test.want {
				if value := got.header.Get(name); value != want {
					t.Errorf("%s = %q, want %q", name, value, want)
				}
			}
			if got.body != test.body {
				t.Errorf("body = %q, want %q", got.body, test.body)
			}
		})
	}
}

// testRawValue has a value that others would percent-encode.
func testRawValue(t *testing.T, target Target) {
	const raw = `100% of "a b"`
	r := event("", "raw", "x")
	r.Headers = append(r.Headers, record("", "", "ce_subject: "+raw).Headers...)
	if got, _ := deliver(t, target, r, nil); got.header.Get("Ce-Subject") != raw {
		t.Errorf("subject = %q, want %q", got.header.Get("Ce-Subject"), raw)
	}
}

// testNoEvent sends records that are no CloudEvents, each for another reason.
func testNoEvent(t *testing.T, target Target) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	for name, test := range map[string]struct {
		record *kgo.Record
		want   map[string]string
	}{
		"plain": {
			record("", "text", "X-Trace_ID: t1", "Content-Type: Text/Plain"),
			map[string]string{"ce-kafkaheaderxtraceid": "t1", "content-type": "text/plain"},
		},
		"nothing": {record: &kgo.Record{}},
		"id missing": {
			record("", "x", "ce_specversion: 1.0", "ce_source: /s", "ce_type: t"),
			map[string]string{
				"ce-kafkaheadercespecversion": "1.0", "ce-kafkaheadercesource": "/s", "ce-kafkaheadercetype": "t",
			},
		},
		"unknown version": {
			record("", "x", "ce_specversion: 2.0", "ce_id: 1", "ce_source: /s", "ce_type: t"),
			map[string]string{
				"ce-kafkaheadercespecversion": "2.0", "ce-kafkaheaderceid": "1", "ce-kafkaheadercesource": "/s", "ce-kafkaheadercetype": "t",
			},
		},
		"bad time": {
			record("", "x", "ce_specversion: 1.0", "ce_id: 1", "ce_source: /s", "ce_type: t", "ce_time: noon"),
			map[string]string{
				"ce-kafkaheadercespecversion": "1.0", "ce-kafkaheaderceid": "1", "ce-kafkaheadercesource": "/s", "ce-kafkaheadercetype": "t",
				"ce-kafkaheadercetime": "noon",
			},
		},
		"broken JSON": {
			record("", `{"specversion":`, "content-type: application/cloudevents+json"),
			map[string]string{"content-type": "application/cloudevents+json"},
		},
		"batch": {
			record("", `[]`, "content-type: application/cloudevents-batch+json"),
			map[string]string{"content-type": "application/cloudevents-batch+json"},
		},
	} {
		target.sub(t, name, func(t *testing.T) {
			test.record.Timestamp = at
			got, s := deliver(t, target, test.record, nil)
			want := synthesized(s)
			maps.Copy(want, test.want)
			wantEvent(t, got, want, string(test.record.Value))
		})
	}
}

// testNoDeadLetter sends what announces a CloudEvent and is none. It can't be
// dead-lettered to a KafkaSink, which reads the content type first: it is lost,
// and what comes after it is not held up.
func testNoDeadLetter(t *testing.T, target Target) {
	const structured = "content-type: application/cloudevents+json"
	valid := `{"specversion":"1.0","id":"%s","source":"/s","type":"t"}`
	for name, garbage := range map[string]*kgo.Record{
		"batch":                record("", `[]`, "content-type: application/cloudevents-batch+json"),
		"no JSON":              record("", `garbage`, structured),
		"line break in the id": record("", fmt.Sprintf(valid, "a\r\nb"), structured),
		"NUL in the id":        record("", fmt.Sprintf(valid, "a\x00b"), structured),
		"a plain record":       record("", `garbage`, "content-type: text/plain"),
	} {
		target.sub(t, name, func(t *testing.T) {
			k := connect(t, target)
			garbage.Topic = k.topic(1)
			sink := receive(t, target, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Ce-Type") == "dev.knative.kafka.event" {
					w.WriteHeader(http.StatusBadRequest)
				}
			})
			intake := &passing{t: t, to: target.Ingress + target.Binary.Path(), answers: make(chan int, 10)}
			s := source(target, sink, garbage.Topic)
			s.Ordering = kafkasource.Ordered
			s.Delivery = &kafkasource.Delivery{DeadLetterSink: target.Serve(t, intake)}
			target.Apply(t, s)
			k.produce(garbage, event(garbage.Topic, "next", "x"))
			k.awaitCommit(s.ConsumerGroup, garbage.Topic, 2)
			if diff := cmp.Diff(map[string]int{"partition:0/offset:0": 1, "next": 1}, sink.nextIDs(2)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			want := http.StatusBadRequest
			if name == "a plain record" {
				want = http.StatusAccepted
			}
			if got := <-intake.answers; got != want || len(intake.answers) > 0 {
				t.Errorf("the KafkaSink answers the dead letter %d, want %d and only once", got, want)
			}
		})
	}
}

// passing hands requests on, and keeps what they are answered.
type passing struct {
	t       *testing.T
	to      string
	answers chan int
}

// ServeHTTP implements http.Handler.
func (p *passing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, p.to, r.Body)
	if err != nil {
		p.t.Error(err)
		return
	}
	request.Header = r.Header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer response.Body.Close()
	p.answers <- response.StatusCode
	w.WriteHeader(response.StatusCode)
}

func synthesized(s kafkasource.Source) map[string]string {
	return map[string]string{
		"ce-specversion":           "1.0",
		"ce-id":                    "partition:0/offset:0",
		"ce-source":                fmt.Sprintf("/apis/v1/namespaces/%s/kafkasources/%s#%s", s.Namespace, s.Name, s.Topics[0]),
		"ce-type":                  "dev.knative.kafka.event",
		"ce-subject":               "partition:0#0",
		"ce-time":                  "2026-01-02T03:04:05.678Z",
		"ce-knativekafkapartition": "0",
		"ce-knativekafkaoffset":    "0",
	}
}

func testKeyTypes(t *testing.T, target Target) {
	double := math.Float64bits(1.5)
	for name, test := range map[string]struct {
		keyType kafkasource.KeyType
		key     []byte
		want    string
	}{
		"default":               {"", []byte("k1"), "k1"},
		"string":                {kafkasource.KeyString, []byte("k1"), "k1"},
		"int":                   {kafkasource.KeyInt, kbin.AppendInt32(nil, -7), "-7"},
		"int of wrong length":   {kafkasource.KeyInt, []byte("seven"), "seven"},
		"int, 8 bytes":          {kafkasource.KeyInt, []byte("8 bytes."), "8 bytes."},
		"greatest int":          {kafkasource.KeyInt, kbin.AppendInt32(nil, math.MaxInt32), "2147483647"},
		"float":                 {kafkasource.KeyFloat, kbin.AppendUint32(nil, math.Float32bits(2)), "2.0"},
		"double":                {kafkasource.KeyFloat, kbin.AppendInt64(nil, int64(double)), "1.5"}, //nolint:gosec // bits
		"bytes":                 {kafkasource.KeyByteArray, []byte{0, 1, 255}, "AAH/"},
		"empty is no key":       {kafkasource.KeyString, []byte{}, ""},
		"float of wrong length": {kafkasource.KeyFloat, []byte("abc"), "abc"},
	} {
		target.sub(t, name, func(t *testing.T) {
			got, _ := deliver(t, target, &kgo.Record{Key: test.key, Value: []byte("x")},
				func(s *kafkasource.Source) { s.KeyType = test.keyType })
			for _, extension := range []string{"Ce-Key", "Ce-Partitionkey"} {
				if got := got.header.Get(extension); got != test.want {
					t.Errorf("%s = %q, want %q", extension, got, test.want)
				}
			}
		})
	}
}
