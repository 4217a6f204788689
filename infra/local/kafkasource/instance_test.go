package kafkasource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
)

// longSession is more than a test waits: whoever waits for the dead to be given up
// fails.
const longSession = 2 * patience

// TestKilledAgainAndAgain kills (-9) one dispatcher after the other, each with
// another request to Kafka under way. The next one has all partitions at once, while
// Kafka believes every one of the dead to be alive.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const partitions = 12
	cluster, brokers := kafkaBroker(t, kfake.SeedTopics(partitions, "topic"))
	sink := newInbox(nil)
	source := unordered(brokers, serve(t, sink))
	successor := child{Source: source, Instance: "laptop", Session: longSession}
	for range 3 {
		for _, request := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Fetch, kmsg.Heartbeat} {
			killed := make(chan struct{})
			started := make(chan func(), 1)
			cluster.ControlKey(request.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.DropControl()
				(<-started)()
				close(killed)
				return nil, nil, false // Kafka does what the dead has asked for
			})
			started <- successor.start(t)
			await(t, killed, "the request "+request.Name())
		}
	}
	produce(t, brokers, "topic", partitions)
	start(t, kafkasource.Config{Sources: []kafkasource.Source{source}, Instance: "laptop", SessionTimeout: longSession})
	sink.await(t, "an event of each partition", each(partitions, 1))
}

// TestReplaced starts a dispatcher under the name of one that lives, which stops,
// says why, and takes nothing from the other.
func TestReplaced(t *testing.T) {
	t.Parallel()
	_, brokers := kafkaBroker(t, kfake.SeedTopics(4, "topic"))
	one, two := newInbox(nil), newInbox(nil)
	config := func(sink *inbox) kafkasource.Config {
		return kafkasource.Config{
			Sources: []kafkasource.Source{unordered(brokers, serve(t, sink))}, Logger: quiet(),
			Instance: "laptop", SessionTimeout: time.Second, CommitInterval: 20 * time.Millisecond,
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- kafkasource.Run(ctx, config(one)) }()
	produce(t, brokers, "topic", 4)
	one.await(t, "all at the first", each(4, 1))

	start(t, config(two))
	if err := <-ended; !errors.Is(err, kafkasource.ErrReplaced) || !strings.Contains(err.Error(), "laptop") {
		t.Errorf("the older dispatcher ended with %v, want %v and its name", err, kafkasource.ErrReplaced)
	}
	produce(t, brokers, "topic", 8)
	two.await(t, "the newest at the second", func(counts map[string]int) bool {
		return counts["4"] > 0 && counts["5"] > 0 && counts["6"] > 0 && counts["7"] > 0
	})
}

// TestStopGivesUpItsPlace stops a dispatcher that has a name: others have its
// partitions at once, and tools may set its group's offsets.
func TestStopGivesUpItsPlace(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafkaBroker(t, kfake.SeedTopics(4, "topic"))
	sink := newInbox(nil)
	stop := start(t, kafkasource.Config{
		Sources: []kafkasource.Source{unordered(brokers, serve(t, sink))}, Instance: "laptop", SessionTimeout: longSession,
	})
	produce(t, brokers, "topic", 4)
	sink.await(t, "delivery", each(4, 1))
	stop()
	if members := len(cluster.GroupInfo("g").Members); members != 0 {
		t.Errorf("the group has %d members after the stop, want none", members)
	}
}

func await(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}
