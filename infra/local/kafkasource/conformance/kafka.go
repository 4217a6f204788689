package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafka is the Kafka of a target, seen by one case.
type kafka struct {
	t        *testing.T
	patience time.Duration
	client   *kgo.Client
	admin    *kadm.Client
}

func connect(t *testing.T, target Target, opts ...kgo.Opt) *kafka {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(target.Brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		t.Fatalf("connect to kafka: %v", err)
	}
	t.Cleanup(client.Close)
	return &kafka{t: t, patience: target.Patience, client: client, admin: kadm.NewClient(client)}
}

// topic creates a topic that only this case uses.
func (k *kafka) topic(partitions int32) string {
	k.t.Helper()
	name := "conformance-" + uuid.NewString()
	if _, err := k.admin.CreateTopic(k.t.Context(), partitions, -1, nil, name); err != nil {
		k.t.Fatalf("create topic: %v", err)
	}
	return name
}

func (k *kafka) produce(records ...*kgo.Record) {
	k.t.Helper()
	if err := k.client.ProduceSync(k.t.Context(), records...).FirstErr(); err != nil {
		k.t.Fatalf("produce: %v", err)
	}
}

// transaction writes a record in a transaction of its own.
func (k *kafka) transaction(r *kgo.Record, end kgo.TransactionEndTry) {
	k.t.Helper()
	if err := k.client.BeginTransaction(); err != nil {
		k.t.Fatalf("begin transaction: %v", err)
	}
	k.produce(r)
	if err := k.client.EndTransaction(k.t.Context(), end); err != nil {
		k.t.Fatalf("end transaction: %v", err)
	}
}

// end is the number of records in a topic.
func (k *kafka) end(topic string) int64 {
	k.t.Helper()
	ends, err := k.admin.ListEndOffsets(k.t.Context(), topic)
	if err != nil {
		k.t.Fatalf("list end offsets: %v", err)
	}
	var sum int64
	ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
	return sum
}

// awaitCommit waits until a group has committed this sum of offsets in a topic.
func (k *kafka) awaitCommit(group, topic string, want int64) {
	k.t.Helper()
	k.awaitOffsets(group, topic, fmt.Sprintf("group commits %d", want), func(sum int64) bool { return sum == want })
}

// awaitCommitPast waits until it has committed so much, or more.
func (k *kafka) awaitCommitPast(group, topic string, want int64) {
	k.t.Helper()
	k.awaitOffsets(group, topic, fmt.Sprintf("group commits %d or more", want), func(sum int64) bool { return sum >= want })
}

func (k *kafka) awaitOffsets(group, topic, what string, holds func(sum int64) bool) {
	k.t.Helper()
	eventually(k.t, k.patience, what, func(ctx context.Context) bool {
		offsets, err := k.admin.FetchOffsets(ctx, group)
		if err != nil {
			return false
		}
		sum, found := int64(0), false
		for _, offset := range offsets[topic] {
			sum, found = sum+offset.At, true
		}
		return found && holds(sum)
	})
}

// commit sets where a group goes on in partition 0 of a topic.
func (k *kafka) commit(group, topic string, at int64) {
	k.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, at, -1)
	if err := k.admin.CommitAllOffsets(k.t.Context(), group, offsets); err != nil {
		k.t.Fatalf("commit offsets: %v", err)
	}
}

// awaitMembers waits until a group has settled with so many members.
func (k *kafka) awaitMembers(group string, want int) {
	k.t.Helper()
	eventually(k.t, k.patience, fmt.Sprintf("group has %d members", want), func(ctx context.Context) bool {
		groups, err := k.admin.DescribeGroups(ctx, group)
		return err == nil && groups[group].State == "Stable" && len(groups[group].Members) == want
	})
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, patience time.Duration, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// record makes a record out of "name: value" headers and a value.
func record(topic string, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	for _, h := range headers {
		name, text, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
	}
	return r
}

// event makes a binary record of the smallest CloudEvent with an id and data.
func event(topic, id, data string) *kgo.Record {
	return record(topic, data, "ce_specversion: 1.0", "ce_id: "+id, "ce_source: /conformance", "ce_type: test.v1")
}
