package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// kafkaLimit is how long something may be tried at a broker that is being killed. A
	// storm can't go on without it, and one that can doesn't wait for it: it is long
	// enough for a machine that does much else.
	kafkaLimit = 2 * time.Minute
	// kafkaAttempt is for one attempt: some calls for each of the groups, each of which
	// the broker writes to its disk.
	kafkaAttempt = 20 * time.Second
)

// takeDown holds a process, signals it and waits until it is gone. Release brings
// it back.
func (s *chaos) takeDown(ctx context.Context, name string, signal syscall.Signal) error {
	if err := s.system.hold(name); err != nil {
		return fmt.Errorf("hold %s: %w", name, err)
	}
	told := 0 // each life is told once: who insists isn't given the time to end well
	return eventually(ctx, kafkaLimit, func() bool {
		pid := s.system.pid(name)
		if pid != 0 && pid != told {
			_ = syscall.Kill(pid, signal)
			told = pid
		}
		return pid == 0
	})
}

// committed is after how long a dispatcher has committed what it may: it does so
// every five seconds.
const committed = 7 * time.Second

// strand takes a function away until the dispatcher has committed meanwhile, and
// kills the dispatcher, which had events waiting for the function: whoever comes
// after it has to find them.
func (s *chaos) strand(ctx context.Context, f fault) (int, error) {
	defer s.system.release(f.Target)
	if err := s.takeDown(ctx, f.Target, syscall.SIGKILL); err != nil {
		return 0, err
	}
	if !pause(ctx, committed) {
		return 0, nil
	}
	victim := s.system.pid(processSource)
	if victim == 0 || syscall.Kill(victim, syscall.SIGKILL) != nil {
		return 0, nil
	}
	s.watchRecovery(ctx, processSource, victim)
	return 1, nil
}

// replay has every reader read every topic from its beginning. The dispatcher is
// down meanwhile, since Kafka changes the offsets of nobody who reads.
func (s *chaos) replay(ctx context.Context) (records int, err error) {
	defer s.system.release(processSource)
	if err := s.takeDown(ctx, processSource, syscall.SIGTERM); err != nil {
		return 0, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.system.env["KAFKA_BROKERS"]))
	if err != nil {
		return 0, fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	var last error
	err = eventually(ctx, kafkaLimit, func() bool {
		attempt, cancel := context.WithTimeout(ctx, kafkaAttempt)
		defer cancel()
		records, last = rewind(attempt, client)
		return last == nil
	})
	if err != nil {
		return 0, fmt.Errorf("rewind: %w: %w", err, last)
	}
	return records, nil
}

// rewind sets every group's offsets to 0, and counts the records that will come again.
func rewind(ctx context.Context, client *kgo.Client) (records int, err error) {
	admin := kadm.NewClient(client)
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return 0, fmt.Errorf("list groups: %w", err)
	}
	for _, group := range groups.Groups() {
		if err := dismiss(ctx, client, group); err != nil {
			return 0, err
		}
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return 0, fmt.Errorf("fetch offsets: %w", err)
		}
		first := kadm.Offsets{}
		offsets.Each(func(o kadm.OffsetResponse) {
			records += int(o.At)
			first.AddOffset(o.Topic, o.Partition, 0, -1)
		})
		if err := admin.CommitAllOffsets(ctx, group, first); err != nil {
			return 0, fmt.Errorf("commit offsets: %w", err)
		}
	}
	return records, nil
}

// dismiss removes the members of a group: those of a dispatcher that was killed stay
// until their session is over.
func dismiss(ctx context.Context, client *kgo.Client, group string) error {
	described, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return fmt.Errorf("describe group: %w", err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	for _, member := range described[group].Members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = member.MemberID
		leave.Members = append(leave.Members, one)
	}
	if len(leave.Members) == 0 {
		return nil
	}
	if _, err := leave.RequestWith(ctx, client); err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return nil
}

// lag is how many records readers haven't finished.
func lag(ctx context.Context, admin *kadm.Client) (int64, error) {
	lags, err := admin.Lag(ctx)
	if err == nil {
		err = lags.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for lag: %w", err)
	}
	total := int64(0)
	for _, group := range lags {
		total += group.Lag.Total()
	}
	return total, nil
}

// longestTail bounds what is cut off a partition: a few events.
const longestTail = 4096

// loseTail kills the broker and cuts the end off some of its partitions, also in
// the middle of a record, as after a crash of a machine whose disk had promised too
// much.
func (s *chaos) loseTail(ctx context.Context, f fault) (bytes int, err error) {
	defer s.system.release(processBroker)
	victim := s.system.pid(processBroker)
	if err := s.takeDown(ctx, processBroker, syscall.SIGKILL); err != nil {
		return 0, err
	}
	segments, err := filepath.Glob(filepath.Join(s.system.state(), "kafka", "log", "partitions", "*", "*.dat"))
	if err != nil {
		return 0, fmt.Errorf("find segments: %w", err)
	}
	random := rand.New(rand.NewPCG(f.Number, 1)) //nolint:gosec // to be had again
	for _, path := range segments {
		info, err := os.Stat(path)
		if err != nil || info.Size() == 0 || random.IntN(2) == 0 {
			continue
		}
		cut := min(info.Size(), 1+random.Int64N(longestTail))
		if err := os.Truncate(path, info.Size()-cut); err != nil {
			return bytes, fmt.Errorf("cut segment: %w", err)
		}
		bytes += int(cut)
	}
	s.watchRecovery(ctx, processBroker, victim)
	return bytes, nil
}
