package kafkabinding

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batchOverhead  = 61 // the header of a record batch
	recordOverhead = 21 // the most that length, attributes, timestamp and offset of one record take
)

// Size is the room that Kafka's Java producer reckons a record takes when it
// stands alone in a batch, the figure that it holds against max.request.size.
func Size(record *kgo.Record) int {
	size := batchOverhead + recordOverhead + sized(record.Key) + sized(record.Value) + varint(len(record.Headers))
	for _, h := range record.Headers {
		size += varint(len(h.Key)) + len(h.Key) + sized(h.Value)
	}
	return size
}

func sized(b []byte) int {
	if b == nil {
		return varint(-1)
	}
	return varint(len(b)) + len(b)
}

func varint(n int) int {
	var buffer [binary.MaxVarintLen64]byte
	return binary.PutVarint(buffer[:], int64(n))
}
