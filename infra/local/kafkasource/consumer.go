package kafkasource

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What Knative's consumers are set to.
const (
	maxPartitionBytes = 64 << 10
	maxFetchWait      = 500 * time.Millisecond
	retryBackoff      = 100 * time.Millisecond
	metadataEvery     = 250 * time.Millisecond
	commitTimeout     = 2 * time.Second
)

// consumer is one source: a member of its consumer group.
type consumer struct {
	source Source
	config Config
	reach  *reachability
	logger *slog.Logger

	client  *kgo.Client
	offsets offsets
	order   order
	running sync.WaitGroup

	// committing keeps a revoked partition from being committed by a commit
	// that began while it was still ours.
	committing sync.Mutex
	commitDown bool
}

func newConsumer(source Source, config Config, reach *reachability) *consumer {
	return &consumer{
		source: source, config: config, reach: reach,
		logger:  config.Logger.With("source", source.Name),
		offsets: offsets{windows: map[partition]*window{}},
	}
}

// run consumes until ctx ends. Then it stops in the order that loses nothing
// and repeats little: no more records, the requests under way, the offsets, the
// group.
func (c *consumer) run(ctx context.Context) error {
	if err := c.startAtEnd(ctx); err != nil {
		return err
	}
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	sender := newSender(requests, c.source.Delivery.policy(), c.config.Wait)
	defer sender.close()
	if err := c.open(ctx, sender); err != nil {
		return fmt.Errorf("open kafka source %s: %w", c.source.Name, err)
	}
	var committer sync.WaitGroup
	committer.Go(func() { c.commitEvery(ctx, c.config.CommitInterval) })
	c.poll(ctx)

	grace := time.AfterFunc(c.config.StopGrace, cut)
	c.running.Wait()
	grace.Stop()
	committer.Wait()
	c.leave(context.WithoutCancel(ctx))
	return nil
}

func (c *consumer) open(ctx context.Context, sender *sender) error {
	delivery, err := newDelivery(c.source, sender, c.config.Logger)
	if err != nil {
		return err
	}
	deliver := func(record *kgo.Record, w *window) {
		if delivery.deliver(ctx, record) == nil {
			c.offsets.finish(w, record.Offset)
		}
	}
	lanes := newOrdered(deliver, &c.running)
	c.order = lanes
	if c.source.Ordering == Unordered {
		c.order = newUnordered(deliver, &c.running)
	}
	c.client, err = kgo.NewClient(c.options()...)
	lanes.fetch = c.client
	return err
}

// connecting is how to reach Kafka.
func (c *consumer) connecting() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(c.source.BootstrapServers...), kgo.WithHooks(c.reach)}
	if c.config.Dial != nil {
		options = append(options, kgo.Dialer(c.config.Dial))
	}
	return options
}

func (c *consumer) options() []kgo.Opt {
	return append(c.connecting(),
		kgo.ConsumerGroup(c.source.ConsumerGroup),
		kgo.ConsumeTopics(c.source.Topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.StickyBalancer()),
		kgo.SessionTimeout(c.config.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, c.config.SessionTimeout/3)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(maxPartitionBytes),
		kgo.FetchMaxWait(maxFetchWait),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryBackoff }),
		kgo.MetadataMinAge(metadataEvery),
		kgo.DisableAutoCommit(),
		// A record is either noted in the offsets before its partition is
		// revoked, or never polled.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(c.assigned),
		kgo.OnPartitionsRevoked(c.revoked),
		kgo.OnPartitionsLost(c.lost),
	)
}

func (c *consumer) poll(ctx context.Context) {
	for c.order.ready(ctx) == nil {
		fetches := c.client.PollRecords(ctx, maxInFlight)
		fetches.EachRecord(func(record *kgo.Record) {
			c.order.add(record, c.offsets.begin(record))
		})
		c.client.AllowRebalance()
	}
}

func (c *consumer) assigned(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
	count := 0
	for _, ids := range assigned {
		count += len(ids)
	}
	c.logger.Info("kafka source has partitions", "group", c.source.ConsumerGroup, "partitions", count)
}

func (c *consumer) revoked(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
	c.commit(ctx, client)
	c.lost(ctx, client, revoked)
}

// lost forgets partitions. What is under way goes on, as in Knative, and is not
// committed: whoever has the partition now delivers it again.
func (c *consumer) lost(_ context.Context, client *kgo.Client, lost map[string][]int32) {
	c.committing.Lock()
	defer c.committing.Unlock()
	c.offsets.drop(lost)
	c.order.drop(lost)
	// A partition that comes back must not come back paused.
	client.ResumeFetchPartitions(lost)
}

func (c *consumer) commitEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.commit(ctx, c.client)
		case <-ctx.Done():
			return
		}
	}
}

// commit commits every partition up to its first unfinished record. What could
// not be committed is tried again at the next turn.
func (c *consumer) commit(ctx context.Context, client *kgo.Client) {
	c.committing.Lock()
	defer c.committing.Unlock()
	upTo := c.offsets.commitable()
	if len(upTo) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := commitSync(ctx, client, upTo)
	if err == nil {
		c.offsets.commit(upTo)
	}
	c.noteCommit(err)
}

func (c *consumer) noteCommit(err error) {
	switch {
	case err != nil && !c.commitDown:
		c.logger.Warn("kafka source can't commit offsets, events may come again", "err", err)
	case err == nil && c.commitDown:
		c.logger.Info("kafka source commits offsets again")
	}
	c.commitDown = err != nil
}

// leave gives the partitions back, which commits them.
func (c *consumer) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := c.client.LeaveGroupContext(ctx); err != nil {
		c.logger.Warn("kafka source left its group without saying so", "err", err)
	}
	c.client.CloseAllowingRebalance()
	c.logger.Info("kafka source has stopped")
}
