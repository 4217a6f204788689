package kafkasource

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

// KeyType is how the key of a record that is no CloudEvent is read, the label
// kafkasources.sources.knative.dev/key-type.
type KeyType string

// The key types; empty is string.
const (
	KeyString    KeyType = "string"
	KeyInt       KeyType = "int"
	KeyFloat     KeyType = "float"
	KeyByteArray KeyType = "byte-array"
)

// synthesize makes an event of a record that is none, out of where it stands.
func (s Source) synthesize(record *kgo.Record) *event.Event {
	e := event.New()
	e.SetID(fmt.Sprintf("partition:%d/offset:%d", record.Partition, record.Offset))
	e.SetSource(fmt.Sprintf("/apis/v1/namespaces/%s/kafkasources/%s#%s", s.Namespace, s.Name, record.Topic))
	e.SetType("dev.knative.kafka.event")
	e.SetSubject(fmt.Sprintf("partition:%d#%d", record.Partition, record.Offset))
	e.SetTime(record.Timestamp.UTC())
	if len(record.Key) > 0 {
		key := s.KeyType.text(record.Key)
		e.SetExtension(kafkabinding.PartitionKey, key)
		e.SetExtension("key", key)
	}
	for _, h := range record.Headers {
		if strings.EqualFold(h.Key, "content-type") {
			e.SetDataContentType(strings.ToLower(string(h.Value)))
			continue
		}
		e.SetExtension("kafkaheader"+extensionName(h.Key), string(h.Value))
	}
	e.DataEncoded = record.Value
	return &e
}

// extensionName keeps of a name what the name of an extension may have.
func extensionName(name string) string {
	return strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// text is a key as the text that a header carries. A number of a wrong length
// is read as a string.
func (t KeyType) text(key []byte) string {
	switch {
	case t == KeyInt && len(key) == 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(key)))) //nolint:gosec // the bits of a signed number
	case t == KeyFloat && len(key) == 4:
		return decimal(float64(math.Float32frombits(binary.BigEndian.Uint32(key))), 32)
	case t == KeyFloat && len(key) == 8:
		return decimal(math.Float64frombits(binary.BigEndian.Uint64(key)), 64)
	case t == KeyByteArray:
		return base64.StdEncoding.EncodeToString(key)
	default:
		return string(key)
	}
}

// decimal writes a number as Java does, with a point also where it is whole.
func decimal(f float64, bits int) string {
	text := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
