package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is a topic that has to be there, with how long it keeps its records.
type Topic struct {
	Name       string
	Partitions int32
	// Retention and RetentionBytes bound what a partition keeps; -1 is no
	// bound, 0 is refused. Both are stated because the broker cleans up only
	// what has them, and its start reads the whole log.
	Retention      time.Duration
	RetentionBytes int64
}

// Unbounded is a Retention without end.
const Unbounded time.Duration = -1

// topicsTimeout bounds the wait for a broker that does not answer.
const topicsTimeout = 10 * time.Second

// EnsureTopics makes the topics of a Kafka what they should be: creates those
// that are missing, sets retention, adds partitions. It never removes anything.
func EnsureTopics(ctx context.Context, brokers []string, topics []Topic) error {
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, topic := range topics {
		if err := ensureTopic(ctx, admin, topic); err != nil {
			return fmt.Errorf("ensure topic %s: %w", topic.Name, err)
		}
	}
	return nil
}

func ensureTopic(ctx context.Context, admin *kadm.Client, topic Topic) error {
	if err := topic.validate(); err != nil {
		return err
	}
	const defaultReplication = -1
	_, err := admin.CreateTopic(ctx, topic.Partitions, defaultReplication, topic.configs(), topic.Name)
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	if err := setRetention(ctx, admin, topic); err != nil {
		return fmt.Errorf("set retention: %w", err)
	}
	return addPartitions(ctx, admin, topic)
}

func (t Topic) validate() error {
	if t.Name == "" || t.Partitions < 1 || t.Retention == 0 || t.RetentionBytes == 0 {
		return fmt.Errorf("needs a name, partitions, retention and retention bytes: %+v", t)
	}
	return nil
}

func (t Topic) configs() map[string]*string {
	retention := int64(-1)
	if t.Retention > 0 {
		retention = t.Retention.Milliseconds()
	}
	return map[string]*string{
		"retention.ms":    new(strconv.FormatInt(retention, 10)),
		"retention.bytes": new(strconv.FormatInt(t.RetentionBytes, 10)),
	}
}

func setRetention(ctx context.Context, admin *kadm.Client, topic Topic) error {
	configs := topic.configs()
	var changes []kadm.AlterConfig
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: configs[name]})
	}
	responses, err := admin.AlterTopicConfigs(ctx, changes, topic.Name)
	if err != nil {
		return err
	}
	for _, response := range responses {
		err = errors.Join(err, response.Err)
	}
	return err
}

func addPartitions(ctx context.Context, admin *kadm.Client, topic Topic) error {
	details, err := admin.ListTopics(ctx, topic.Name)
	if err != nil {
		return fmt.Errorf("list partitions: %w", err)
	}
	if len(details[topic.Name].Partitions) >= int(topic.Partitions) {
		return nil
	}
	responses, err := admin.UpdatePartitions(ctx, int(topic.Partitions), topic.Name)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("add partitions: %w", err)
	}
	return nil
}
