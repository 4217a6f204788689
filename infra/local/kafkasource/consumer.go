package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

	// stop ends run, with a reason that run returns.
	stop context.CancelCauseFunc
}

var _ kgo.HookGroupManageError = (*consumer)(nil)

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
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
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
	if cause := context.Cause(ctx); errors.Is(cause, ErrReplaced) {
		return fmt.Errorf("kafka source %s: %w", c.source.Name, cause)
	}
	return nil
}

// OnGroupManageError implements kgo.HookGroupManageError. A client that is told
// that another has its place would ask for it again and again.
func (c *consumer) OnGroupManageError(err error) {
	if errors.Is(err, kerr.FencedInstanceID) {
		c.stop(fmt.Errorf("%w: %s", ErrReplaced, c.config.Instance))
	}
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

// membership is what makes the consumer a static member of its group, which its
// successor replaces. A name counts within a group only, and sources may share one.
func (c *consumer) membership() []kgo.Opt {
	if c.config.Instance == "" {
		return nil
	}
	return []kgo.Opt{
		kgo.InstanceID(strings.Join([]string{c.config.Instance, c.source.Namespace, c.source.Name}, ".")),
		kgo.WithHooks(c),
	}
}

func (c *consumer) options() []kgo.Opt {
	return append(append(c.connecting(), c.membership()...),
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
	member, _ := c.client.GroupMetadata()
	err := c.client.LeaveGroupContext(ctx)
	if err == nil && c.config.Instance != "" {
		err = c.giveUpPlace(ctx, member)
	}
	if err != nil {
		c.logger.Warn("kafka source left its group without saying so", "err", err)
	}
	c.client.CloseAllowingRebalance()
	c.logger.Info("kafka source has stopped")
}

// giveUpPlace says for a static member that it leaves, which its client doesn't: it
// expects to be back. It is said by the member's id, and without its name: that may
// be a successor's by now.
func (c *consumer) giveUpPlace(ctx context.Context, member string) error {
	if member == "" {
		return nil
	}
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = member
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group, request.MemberID, request.Members = c.source.ConsumerGroup, member, append(request.Members, one)
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return kerr.ErrorForCode(response.ErrorCode)
}
