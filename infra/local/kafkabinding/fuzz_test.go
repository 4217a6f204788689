package kafkabinding_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

// recordOf makes a record of lines "name: value"; a name may be there twice.
func recordOf(headers string, value []byte) *kgo.Record {
	record := &kgo.Record{Value: value}
	for line := range strings.Lines(headers) {
		name, content, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(content)})
	}
	return record
}

// FuzzRecord reads anything. A record is an event, or is said to be none; what is one
// is the same after another way through Kafka, in either mode.
func FuzzRecord(f *testing.F) {
	const head = "ce_specversion: 1.0\nce_id: 1\nce_source: /s\nce_type: t\n"
	for _, headers := range []string{
		"", head, head + "content-type: application/json\n", "content-type: application/cloudevents+json\n", "content-type: application/cloudevents-batch+json\n",
		head + "ce_: x\n", head + "ce_time: never\n", head + "ce_time: 0000-01-01T00:00:00Z\n", head + "ce_Ext: x\nce_EXT: y\n", head + "ce_a-b: x\n", head + "ce_x: \xff\x00\n",
		"ce_specversion: 0.3\nce_id: 1\nce_source: /s\nce_type: t\n", head + "ce_id: 2\n", head + "ce_partitionkey: " + strings.Repeat("k", 70000) + "\n",
		head + "ce_dataschema: %\n", head + "content-type: \xff\n", "CE_SPECVERSION: 1.0\nCE_ID: 1\n", head + "ce_data: 1\n", head + "ce_datacontenttype: a\ncontent-type: b\n",
	} {
		for _, value := range []string{"", "{}", "\xff\x00", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":[1,2]},"n":5,"b":true,"partitionkey":7}`, strings.Repeat("[", 9000)} {
			f.Add(headers, []byte(value))
		}
	}
	f.Fuzz(func(t *testing.T, headers string, value []byte) {
		e, err := kafkabinding.Event(recordOf(headers, value))
		if err != nil {
			if !errors.Is(err, kafkabinding.ErrNotCloudEvent) {
				t.Errorf("%q %q: %v", headers, value, err)
			}
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("%q %q is read as what is no event: %v", headers, value, err)
		}
		for _, mode := range []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured} {
			if e.Extensions()["data"] == nil || mode == kafkabinding.Binary { // in a document the name is taken
				wantThereAndBack(t, e, mode)
			}
		}
	})
}

func wantThereAndBack(t *testing.T, e *event.Event, mode kafkabinding.Mode) {
	t.Helper()
	record, err := kafkabinding.Record(e, mode)
	if err != nil {
		if errors.Is(err, kafkabinding.ErrKeyNotString) {
			return
		}
		if mode == kafkabinding.Structured {
			return // data that claims to be JSON and isn't has no place in a document
		}
		t.Fatalf("%s can't be written %s: %v", e, mode, err)
	}
	again, err := kafkabinding.Event(record)
	if err != nil {
		t.Fatalf("%s, written %s, can't be read: %v", e, mode, err)
	}
	if again.ID() != e.ID() || again.Source() != e.Source() || again.Type() != e.Type() || again.Subject() != e.Subject() ||
		mode == kafkabinding.Binary && !bytes.Equal(again.Data(), e.Data()) || len(again.Extensions()) != len(e.Extensions()) {
		t.Errorf("%s is %s once written %s", e, again, mode)
	}
	if kafkabinding.Size(record) <= len(record.Value) {
		t.Errorf("%s takes %d bytes, of which its value are %d", e, kafkabinding.Size(record), len(record.Value))
	}
}
