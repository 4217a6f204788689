package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// broker is the cluster's Kafka, as pods and its node know it.
const broker = "my-cluster-kafka-bootstrap.kafka.svc.cluster.local:9092"

// topicOptions are those of Apache Kafka's kafka-topics.sh that ours gives.
type topicOptions struct {
	BootstrapServer   string            `required:""`
	Create            bool              `required:""`
	IfNotExists       bool              `required:""`
	Topic             string            `required:""`
	Partitions        int32             `required:""`
	ReplicationFactor int16             `required:""`
	Config            map[string]string `required:""`
}

// makeTopic does what kafka-topics.sh --create --if-not-exists does.
func makeTopic(ctx context.Context, args []string) error {
	var o topicOptions
	parser, err := kong.New(&o)
	if err != nil {
		return fmt.Errorf("declare options: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.BootstrapServer))
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	defer client.Close()
	configs := map[string]*string{}
	for name, value := range o.Config {
		configs[name] = &value
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, o.Partitions, o.ReplicationFactor, configs, o.Topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// removeTopics removes what an earlier run has left.
func removeTopics(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatalf("list topics: %v", err)
	}
	for _, topic := range topics.Names() {
		if !strings.HasPrefix(topic, "order-") && !strings.HasPrefix(topic, "payment-") && !strings.HasPrefix(topic, "inventory-") {
			continue
		}
		if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
			t.Fatalf("delete topic %s: %v", topic, err)
		}
	}
}
