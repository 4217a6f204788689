package kafkabinding_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

func full() *event.Event {
	e := event.New()
	e.SetID("1/order-placed")
	e.SetSource("/orderflow/storefront")
	e.SetType("orderflow.order.placed.v1")
	e.SetSubject("ünïcode")
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC))
	e.SetDataSchema("https://example.test/order-placed.json")
	e.SetExtension("partitionkey", "1")
	e.SetExtension("causationid", "0/x")
	if err := e.SetData("application/json", map[string]int{"a": 1}); err != nil {
		panic(err)
	}
	return &e
}

// TestThereAndBack writes events and reads the same ones.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	bare := event.New()
	bare.SetID("2")
	bare.SetSource("/s")
	bare.SetType("t")
	binaryData := bare.Clone()
	if err := binaryData.SetData("application/octet-stream", []byte{0, 1, 255}); err != nil {
		t.Fatalf("set data: %v", err)
	}
	for name, e := range map[string]*event.Event{"full": full(), "bare": &bare, "binary data": &binaryData} {
		for _, mode := range []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured} {
			record, err := kafkabinding.Record(e, mode)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, mode, err)
			}
			got, err := kafkabinding.Event(record)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, mode, err)
			}
			if diff := cmp.Diff(e.Context.String(), got.Context.String()); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, mode, diff)
			}
			if diff := cmp.Diff(e.Data(), got.Data()); diff != "" {
				t.Errorf("%s, %s: data (-want +got):\n%s", name, mode, diff)
			}
		}
	}
}

func TestBinaryRecord(t *testing.T) {
	t.Parallel()
	record, err := kafkabinding.Record(full(), kafkabinding.Binary)
	if err != nil {
		t.Fatalf("Record: %v", err)
	}
	got := map[string]string{}
	for _, h := range record.Headers {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "1/order-placed", "ce_source": "/orderflow/storefront",
		"ce_type": "orderflow.order.placed.v1", "ce_subject": "ünïcode", "ce_time": "2026-01-02T03:04:05.678Z",
		"ce_dataschema": "https://example.test/order-placed.json", "ce_partitionkey": "1", "ce_causationid": "0/x",
		"content-type": "application/json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(record.Key) != "1" || string(record.Value) != `{"a":1}` {
		t.Errorf("key %q, value %q", record.Key, record.Value)
	}
}

func TestKeyNotString(t *testing.T) {
	t.Parallel()
	e := full()
	e.SetExtension("partitionkey", 7)
	if _, err := kafkabinding.Record(e, kafkabinding.Binary); !errors.Is(err, kafkabinding.ErrKeyNotString) {
		t.Errorf("Record = %v, want ErrKeyNotString", err)
	}
}

func record(value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Value: []byte(value)}
	for _, h := range headers {
		name, text, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
	}
	return r
}

func TestNotCloudEvent(t *testing.T) {
	t.Parallel()
	attributes := []string{"ce_specversion: 1.0", "ce_id: 1", "ce_source: /s", "ce_type: t"}
	for name, r := range map[string]*kgo.Record{
		"nothing":           record("x"),
		"no version":        record("x", attributes[1:]...),
		"unknown version":   record("x", append([]string{"ce_specversion: 2.0"}, attributes[1:]...)...),
		"upper-case prefix": record("x", "CE_specversion: 1.0", "CE_id: 1", "CE_source: /s", "CE_type: t"),
		"no type":           record("x", attributes[:3]...),
		"bad time":          record("x", append(attributes, "ce_time: now")...),
		"bad extension":     record("x", append(attributes, "ce_a-b: x")...),
		"unknown format":    record("x", append(attributes, "content-type: application/cloudevents+xml")...),
		"batch":             record("[]", append(attributes, "content-type: application/cloudevents-batch+json")...),
		"broken JSON":       record("{", append(attributes, "content-type: application/cloudevents+json")...),
	} {
		if e, err := kafkabinding.Event(r); !errors.Is(err, kafkabinding.ErrNotCloudEvent) {
			t.Errorf("%s: Event = %v, %v, want ErrNotCloudEvent", name, e, err)
		}
	}
}

// TestSize holds the reckoning against one made by hand.
func TestSize(t *testing.T) {
	t.Parallel()
	for want, r := range map[int]*kgo.Record{
		61 + 21 + 1 + 1 + 1:         {},
		61 + 21 + 1 + (2 + 100) + 1: {Value: make([]byte, 100)},
		61 + 21 + (1 + 2) + (1 + 3) + 1 + (1 + 1) + (1 + 2): {
			Key: []byte("ab"), Value: []byte("abc"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("bc")}},
		},
	} {
		if got := kafkabinding.Size(r); got != want {
			t.Errorf("Size(%v) = %d, want %d", r, got, want)
		}
	}
}

func BenchmarkThereAndBack(b *testing.B) {
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		r, err := kafkabinding.Record(e, kafkabinding.Binary)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := kafkabinding.Event(r); err != nil {
			b.Fatal(err)
		}
	}
}
