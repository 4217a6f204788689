package kafkabinding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/twmb/franz-go/pkg/kgo"
)

// PartitionKey is the extension whose value becomes the record's key.
const PartitionKey = "partitionkey"

// Mode is how an event is laid out in a record.
type Mode string

// The modes, with the names that a KafkaSink's contentMode has.
const (
	Binary     Mode = "binary"
	Structured Mode = "structured"
)

// ErrKeyNotString is returned for a partitionkey of another type, which only a
// structured event can have. Knative's serializer takes nothing but strings.
var ErrKeyNotString = errors.New("partitionkey is not a string")

// Record writes an event into a record without a topic. The record shares the
// memory of the event's data.
func Record(e *event.Event, mode Mode) (*kgo.Record, error) {
	record := &kgo.Record{}
	if key, found := e.Extensions()[PartitionKey]; found {
		text, isString := key.(string)
		if !isString {
			return nil, fmt.Errorf("%w: %T", ErrKeyNotString, key)
		}
		record.Key = []byte(text)
	}
	ctx, write := binding.WithForceBinary(context.Background()), (*writer)(record)
	if mode == Structured {
		ctx = binding.WithForceStructured(context.Background())
	}
	if _, err := binding.Write(ctx, (*binding.EventMessage)(e), write, write); err != nil {
		return nil, fmt.Errorf("write %s record: %w", mode, err)
	}
	return record, nil
}

// writer is a record as the SDK writes it.
type writer kgo.Record

var (
	_ binding.StructuredWriter = (*writer)(nil)
	_ binding.BinaryWriter     = (*writer)(nil)
)

// SetStructuredEvent implements binding.StructuredWriter.
func (w *writer) SetStructuredEvent(_ context.Context, f format.Format, e io.Reader) error {
	w.set(contentType, f.MediaType())
	return w.SetData(e)
}

// Start implements binding.BinaryWriter.
func (w *writer) Start(context.Context) error {
	w.Headers = make([]kgo.RecordHeader, 0, 16)
	return nil
}

// End implements binding.BinaryWriter.
func (w *writer) End(context.Context) error { return nil }

// SetAttribute implements binding.BinaryWriter.
func (w *writer) SetAttribute(attribute spec.Attribute, value any) error {
	if attribute.Kind() == spec.DataContentType {
		return w.format(contentType, value)
	}
	return w.format(prefix+attribute.Name(), value)
}

// SetExtension implements binding.BinaryWriter.
func (w *writer) SetExtension(name string, value any) error {
	return w.format(prefix+name, value)
}

// SetData implements binding.BinaryWriter.
func (w *writer) SetData(data io.Reader) error {
	if buffer, ok := data.(*bytes.Buffer); ok {
		w.Value = buffer.Bytes()
		return nil
	}
	value, err := io.ReadAll(data)
	if err != nil {
		return fmt.Errorf("read data: %w", err)
	}
	w.Value = value
	return nil
}

func (w *writer) format(key string, value any) error {
	if value == nil {
		return nil
	}
	text, err := types.Format(value)
	if err != nil {
		return fmt.Errorf("format %s: %w", key, err)
	}
	w.set(key, text)
	return nil
}

func (w *writer) set(key, value string) {
	w.Headers = append(w.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
}
