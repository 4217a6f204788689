// Package kafkabinding maps CloudEvents to Kafka records and back, by the
// Kafka protocol binding of CloudEvents 1.0, the way Knative's data plane does:
//
//	binary:     ce_<attribute> headers, content-type = datacontenttype, value = data
//	structured: content-type: application/cloudevents+json, value = the event
//
// The key of a record is the event's partitionkey extension.
package kafkabinding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	prefix      = "ce_"
	contentType = "content-type"
	specVersion = prefix + "specversion"

	// mediaTypes begins the content type of every event format, also of those
	// that nobody here can read.
	mediaTypes = "application/cloudevents"
)

// ErrNotCloudEvent is returned for a record that is no valid CloudEvent.
var ErrNotCloudEvent = errors.New("not a CloudEvent")

// Event reads the CloudEvent in a record, or says with ErrNotCloudEvent why
// there is none. The event shares the record's memory.
func Event(record *kgo.Record) (*event.Event, error) {
	e, err := binding.ToEvent(context.Background(), newMessage(record))
	if err == nil {
		err = e.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCloudEvent, err)
	}
	return e, nil
}

// UnknownFormat tells whether a content type announces a whole CloudEvent in a
// format that can't be read here: XML, a batch. Such a message is no CloudEvent,
// whatever its other headers say.
func UnknownFormat(contentType string) bool {
	if !strings.HasPrefix(strings.ToLower(contentType), mediaTypes) {
		return false
	}
	known := format.Lookup(contentType)
	return known == nil || known == format.JSONBatch
}

// message is a record as the SDK reads it.
type message struct {
	record  *kgo.Record
	format  format.Format
	version spec.Version
}

var (
	_ binding.MessageReader         = (*message)(nil)
	_ binding.MessageMetadataReader = (*message)(nil)
)

func newMessage(record *kgo.Record) *message {
	m := &message{record: record}
	media := header(record, contentType)
	switch {
	case UnknownFormat(media):
	case strings.HasPrefix(strings.ToLower(media), mediaTypes):
		m.format = format.Lookup(media)
	default:
		m.version = spec.VS.Version(header(record, specVersion))
	}
	return m
}

// header finds the last header of a name, as a Kafka client's lookup does.
func header(record *kgo.Record, key string) string {
	for _, h := range slices.Backward(record.Headers) {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// ReadEncoding implements binding.MessageReader.
func (m *message) ReadEncoding() binding.Encoding {
	switch {
	case m.format != nil:
		return binding.EncodingStructured
	case m.version != nil:
		return binding.EncodingBinary
	default:
		return binding.EncodingUnknown
	}
}

// ReadStructured implements binding.MessageReader.
func (m *message) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	if m.format == nil {
		return binding.ErrNotStructured
	}
	return w.SetStructuredEvent(ctx, m.format, bytes.NewReader(m.record.Value))
}

// ReadBinary implements binding.MessageReader.
func (m *message) ReadBinary(_ context.Context, w binding.BinaryWriter) error {
	if m.version == nil {
		return binding.ErrNotBinary
	}
	for _, h := range m.record.Headers {
		if err := m.readHeader(w, h); err != nil {
			return fmt.Errorf("read header %s: %w", h.Key, err)
		}
	}
	if len(m.record.Value) == 0 {
		return nil
	}
	return w.SetData(bytes.NewBuffer(m.record.Value))
}

func (m *message) readHeader(w binding.BinaryWriter, h kgo.RecordHeader) error {
	if h.Key == contentType {
		return w.SetAttribute(m.version.AttributeFromKind(spec.DataContentType), string(h.Value))
	}
	name, found := strings.CutPrefix(h.Key, prefix)
	if !found {
		return nil
	}
	name = strings.ToLower(name)
	if attribute := m.version.Attribute(name); attribute != nil {
		return w.SetAttribute(attribute, string(h.Value))
	}
	return w.SetExtension(name, string(h.Value))
}

// GetAttribute implements binding.MessageMetadataReader.
func (m *message) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	attribute := m.version.AttributeFromKind(kind)
	if attribute == nil {
		return nil, nil
	}
	key := prefix + attribute.Name()
	if kind == spec.DataContentType {
		key = contentType
	}
	return attribute, present(header(m.record, key))
}

// GetExtension implements binding.MessageMetadataReader.
func (m *message) GetExtension(name string) any {
	return present(header(m.record, prefix+name))
}

func present(value string) any {
	if value == "" {
		return nil
	}
	return value
}
