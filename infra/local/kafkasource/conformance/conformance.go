// Package conformance holds what KafkaSource and KafkaSink do as cases that run
// against any data plane: the emulation of a laptop, or Knative's own. A case
// knows a Kafka, the address of the ingress, and how to apply a source.
package conformance

import (
	"net/http"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// Target is the data plane under test.
type Target struct {
	// Brokers are the bootstrap servers of its Kafka, for the cases as well as
	// for the sources they apply.
	Brokers []string
	// Ingress is the URL of the KafkaSink ingress.
	Ingress string
	// Binary and Structured are two sinks that it has, on topics that exist
	// and that nobody else writes to.
	Binary, Structured kafkasink.Sink
	// Serve makes a handler reachable for the data plane and returns its URL.
	Serve func(t *testing.T, handler http.Handler) string
	// Apply creates a source, until the test ends or stop is called.
	Apply func(t *testing.T, source kafkasource.Source) (stop func())
}

// Run runs every case.
func Run(t *testing.T, target Target) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Target){
		"ingress/status":             testIngressStatus,
		"ingress/binary record":      testBinaryRecord,
		"ingress/structured record":  testStructuredRecord,
		"ingress/one MiB":            testOneMiB,
		"source/statuses":            testStatuses,
		"source/transport":           testTransport,
		"source/timeout":             testTimeout,
		"source/backoff":             testBackoff,
		"source/error extensions":    testErrorExtensions,
		"source/reply":               testReplyDiscarded,
		"source/dead letter down":    testDeadLetterDown,
		"source/no dead letter sink": testNoDeadLetterSink,
		"source/binary request":      testBinaryRequest,
		"source/structured":          testStructuredRequest,
		"source/null value":          testNullValue,
		"source/no event":            testNoEvent,
		"source/no dead letter":      testNoDeadLetter,
		"source/key types":           testKeyTypes,
		"source/ordered":             testOrdered,
		"source/unordered":           testUnordered,
		"source/topics":              testTopics,
		"source/latest":              testLatest,
		"source/restart":             testRestart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, target)
		})
	}
}
