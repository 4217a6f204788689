package kafkasource

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitSync commits and reports what was refused.
func commitSync(ctx context.Context, client *kgo.Client, upTo map[string]map[int32]kgo.EpochOffset) error {
	var failed error
	client.CommitOffsetsSync(ctx, upTo,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failed = err
				return
			}
			for _, topic := range response.Topics {
				for _, p := range topic.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	return failed
}

// startAtEnd commits the end of every partition that the group has committed
// nothing for, if the source wants to begin at the latest event. In Knative the
// controller does so before the source is ready. It waits for Kafka to be there.
func (c *consumer) startAtEnd(ctx context.Context) error {
	if c.source.InitialOffset == Earliest {
		return nil
	}
	client, err := kgo.NewClient(c.connecting()...)
	if err != nil {
		return fmt.Errorf("make kafka client of %s: %w", c.source.Name, err)
	}
	defer client.Close()
	for logged := false; ctx.Err() == nil; {
		err := commitEnd(ctx, kadm.NewClient(client), c.source)
		if err == nil {
			return nil
		}
		if !logged && ctx.Err() == nil {
			c.logger.Warn("kafka source can't find the end of its topics, trying on", "err", err)
			logged = true
		}
		if wait(ctx, commitTimeout/2) != nil {
			return nil
		}
	}
	return nil
}

func commitEnd(ctx context.Context, admin *kadm.Client, source Source) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ends, err := admin.ListEndOffsets(ctx, source.Topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list end offsets: %w", err)
	}
	committed, err := admin.FetchOffsets(ctx, source.ConsumerGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("fetch committed offsets: %w", err)
	}
	missing := kadm.Offsets{}
	ends.Each(func(end kadm.ListedOffset) {
		if _, found := committed.Lookup(end.Topic, end.Partition); !found {
			missing.AddOffset(end.Topic, end.Partition, end.Offset, -1)
		}
	})
	if len(missing) == 0 {
		return nil
	}
	return admin.CommitAllOffsets(ctx, source.ConsumerGroup, missing)
}
