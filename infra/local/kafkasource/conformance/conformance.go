// Package conformance holds what KafkaSource and KafkaSink do as cases that run
// against any data plane: the emulation of a laptop, or Knative's own. A case
// knows a Kafka, the address of the ingress, and how to apply a source.
package conformance

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

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
	// Namespace is the one that sources are applied in.
	Namespace string
	// Patience is how long a case waits for what has to happen; 0 is 30 s.
	Patience time.Duration
	// Serve makes a handler reachable for the data plane and returns its URL.
	Serve func(t *testing.T, handler http.Handler) string
	// Apply creates a source, until the test ends.
	Apply func(t *testing.T, source kafkasource.Source) Applied

	tally  *Tally
	leaves *atomic.Int32 // of the case that runs
}

// Applied is a source at work.
type Applied struct {
	// Pause ends the deliveries in an orderly way. The group keeps what it has
	// committed, and goes on there when the source is applied again.
	Pause func()
	// Kill kills whatever delivers (-9). It comes back by itself.
	Kill func()
}

// Run runs every case.
func Run(t *testing.T, target Target, tally *Tally) {
	t.Helper()
	target.tally, tally.within = tally, t.Name()
	if target.Patience == 0 {
		target.Patience = 30 * time.Second
	}
	// By itself, before the others begin: they may share what it kills.
	target.one(t, "offsets/killed", testKilled)
	for name, test := range map[string]func(*testing.T, Target){
		"sink/status":             testIngressStatus,
		"sink/binary record":      testBinaryRecord,
		"sink/structured record":  testStructuredRecord,
		"sink/size":               testSize,
		"sink/extensions":         testExtensions,
		"sink/time":               testRecordTime,
		"outcome/status":          testStatuses,
		"outcome/healed":          testHealed,
		"outcome/connection cut":  testTransport,
		"outcome/nobody listens":  testNobodyListens,
		"outcome/timeout":         testTimeout,
		"outcome/backoff":         testBackoff,
		"outcome/last attempt":    testLastAttempt,
		"outcome/answer cut":      testAnswerCut,
		"outcome/redirect":        testRedirect,
		"outcome/see other":       testSeeOther,
		"outcome/reply":           testReplyDiscarded,
		"dead letter/extensions":  testErrorExtensions,
		"dead letter/no body":     testNoErrorData,
		"dead letter/down":        testDeadLetterDown,
		"dead letter/healed":      testDeadLetterHealed,
		"dead letter/refused":     testDeadLetterRefused,
		"dead letter/of no event": testDeadLetterOfNoEvent,
		"dead letter/structured":  testDeadLetterStructured,
		"dead letter/no sink":     testNoDeadLetterSink,
		"dead letter/not to be":   testNoDeadLetter,
		"request/binary":          testBinaryRequest,
		"request/structured":      testStructuredRequest,
		"request/null value":      testNullValue,
		"request/key":             testRecordKey,
		"request/address":         testSinkAddress,
		"request/content":         testContent,
		"request/attributes":      testAttributes,
		"request/raw value":       testRawValue,
		"request/no event":        testNoEvent,
		"request/key types":       testKeyTypes,
		"order/ordered":           testOrdered,
		"order/ordered retries":   testOrderedRetries,
		"order/unordered":         testUnordered,
		"order/unordered at once": testInFlight,
		"order/unordered retries": testUnorderedRetries,
		"order/two topics":        testTwoTopicsOrdered,
		"order/all behind":        testAllBehind,
		"offsets/topics":          testTopics,
		"offsets/latest":          testLatest,
		"offsets/known group":     testKnownGroup,
		"offsets/two groups":      testTwoGroups,
		"offsets/same id":         testSameID,
		"offsets/transactions":    testTransactions,
		"offsets/paused":          testPaused,
		"offsets/rebalance":       testRebalance,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target.run(t, test)
		})
	}
}

// one runs a test while no other runs.
func (target Target) one(t *testing.T, name string, test func(*testing.T, Target)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { target.run(t, test) })
}

// run runs a test, which is one case unless it has several.
func (target Target) run(t *testing.T, test func(*testing.T, Target)) {
	t.Helper()
	target.leaves = &atomic.Int32{}
	test(t, target)
	if target.leaves.Load() == 0 {
		target.tally.count(t)
	}
}

// sub runs one of several cases that a test has.
func (target Target) sub(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	target.leaves.Add(1)
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		target.tally.count(t)
		test(t)
	})
}

// Tally counts cases by group.
type Tally struct {
	within string // the test that runs the groups

	mu     sync.Mutex
	groups map[string]*counts
}

type counts struct{ passed, failed int }

// count adds a test to its group when it ends.
func (y *Tally) count(t *testing.T) {
	t.Helper()
	group, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), y.within+"/"), "/")
	t.Cleanup(func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.groups == nil {
			y.groups = map[string]*counts{}
		}
		if y.groups[group] == nil {
			y.groups[group] = &counts{}
		}
		if t.Failed() {
			y.groups[group].failed++
		} else {
			y.groups[group].passed++
		}
	})
}

// Cases is how many cases were run.
func (y *Tally) Cases() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	sum := 0
	for _, c := range y.groups {
		sum += c.passed + c.failed
	}
	return sum
}

// Print writes the cases by group.
func (y *Tally) Print(w io.Writer) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	text := "group\tcases\tpassed\tfailed\t\n"
	row := func(name string, c counts) {
		text += fmt.Sprintf("%s\t%d\t%d\t%d\t\n", name, c.passed+c.failed, c.passed, c.failed)
	}
	var all counts
	for _, group := range slices.Sorted(maps.Keys(y.groups)) {
		c := *y.groups[group]
		all.passed, all.failed = all.passed+c.passed, all.failed+c.failed
		row(group, c)
	}
	row("all", all)
	if _, err := io.WriteString(table, text); err != nil {
		return err
	}
	return table.Flush()
}
