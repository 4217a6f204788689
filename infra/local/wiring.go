package local

import (
	"fmt"
	"strconv"
	"time"

	kafka "github.com/orderflow-project/orderflow/infra/local/broker"
	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
	sinks "github.com/orderflow-project/orderflow/infra/local/kafkasink"
	sources "github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/pingsource"
)

// Topics are the topics that the manifests declare. Replicas are left out: a
// laptop has one broker.
func Topics(set *manifest.Set) ([]kafka.Topic, error) {
	topics := make([]kafka.Topic, 0, len(set.KafkaTopics))
	for _, declared := range set.KafkaTopics {
		retention, err := config(declared, "retention.ms")
		if err != nil {
			return nil, err
		}
		size, err := config(declared, "retention.bytes")
		if err != nil {
			return nil, err
		}
		topics = append(topics, kafka.Topic{
			Name: declared.Spec.TopicName, Partitions: declared.Spec.Partitions,
			Retention: time.Duration(retention) * time.Millisecond, RetentionBytes: size,
		})
	}
	return topics, nil
}

func config(topic manifest.KafkaTopic, key string) (int64, error) {
	value, err := strconv.ParseInt(topic.Spec.Config[key], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %s: %w", topic.Metadata.Name, key, err)
	}
	return value, nil
}

// Sinks are the KafkaSinks that the manifests declare.
func Sinks(set *manifest.Set) []sinks.Sink {
	made := make([]sinks.Sink, 0, len(set.KafkaSinks))
	for _, declared := range set.KafkaSinks {
		made = append(made, sinks.Sink{
			Namespace: declared.Metadata.Namespace, Name: declared.Metadata.Name,
			Topic: declared.Spec.Topic, ContentMode: kafkabinding.Mode(declared.Spec.ContentMode),
		})
	}
	return made
}

// Network tells where things are: what a cluster's DNS is asked for.
type Network struct {
	// Brokers take the place of the bootstrap servers in the manifests.
	Brokers []string
	// Ingress is the URL of the KafkaSinks' ingress.
	Ingress string
	// Services are the functions' URLs by name.
	Services map[string]string
}

// address resolves a destination.
func (n Network) address(namespace string, to manifest.Destination) (string, error) {
	switch to.Ref.TypeMeta {
	case manifest.TypeMeta{APIVersion: "serving.knative.dev/v1", Kind: "Service"}:
		if url, known := n.Services[to.Ref.Name]; known {
			return url, nil
		}
		return "", fmt.Errorf("there is no function %q", to.Ref.Name)
	case manifest.TypeMeta{APIVersion: "eventing.knative.dev/v1alpha1", Kind: "KafkaSink"}:
		return n.Ingress + "/" + namespace + "/" + to.Ref.Name, nil
	default:
		return "", fmt.Errorf("can't send to a %s %s", to.Ref.APIVersion, to.Ref.Kind)
	}
}

// Sources are the KafkaSources that the manifests declare.
func Sources(set *manifest.Set, network Network) ([]sources.Source, error) {
	made := make([]sources.Source, 0, len(set.KafkaSources))
	for _, declared := range set.KafkaSources {
		source, err := source(declared, network)
		if err != nil {
			return nil, fmt.Errorf("kafka source %s: %w", declared.Metadata.Name, err)
		}
		made = append(made, source)
	}
	return made, nil
}

func source(declared manifest.KafkaSource, network Network) (sources.Source, error) {
	namespace, spec := declared.Metadata.Namespace, declared.Spec
	source := sources.Source{
		Namespace: namespace, Name: declared.Metadata.Name,
		ConsumerGroup: spec.ConsumerGroup, Topics: spec.Topics, BootstrapServers: network.Brokers,
		InitialOffset: sources.InitialOffset(spec.InitialOffset), Ordering: sources.Ordering(spec.Ordering),
		Consumers: 1, KeyType: sources.KeyType(declared.Metadata.Labels[manifest.KeyTypeLabel]),
	}
	if spec.Consumers != nil {
		source.Consumers = *spec.Consumers
	}
	var err error
	if source.Sink, err = network.address(namespace, spec.Sink); err != nil {
		return source, err
	}
	if spec.Delivery != nil {
		source.Delivery, err = delivery(namespace, *spec.Delivery, network)
	}
	return source, err
}

func delivery(namespace string, declared manifest.Delivery, network Network) (*sources.Delivery, error) {
	made := &sources.Delivery{BackoffPolicy: sources.BackoffPolicy(declared.BackoffPolicy)}
	if declared.Retry != nil {
		made.Retry = *declared.Retry
	}
	var err error
	if declared.BackoffDelay != "" {
		delay, err := duration("backoffDelay", declared.BackoffDelay)
		if err != nil {
			return nil, err
		}
		made.BackoffDelay = &delay
	}
	if declared.Timeout != "" {
		if made.Timeout, err = duration("timeout", declared.Timeout); err != nil {
			return nil, err
		}
	}
	if declared.DeadLetterSink != nil {
		made.DeadLetterSink, err = network.address(namespace, *declared.DeadLetterSink)
	}
	return made, err
}

// knativeTick is what Knative rounds a duration down to.
const knativeTick = 100 * time.Millisecond

// duration refuses what wouldn't be what it says: Knative keeps one decimal of
// the seconds, a delay of 0 means no retry at all, and a timeout of 0 none.
func duration(field, text string) (time.Duration, error) {
	amount, err := sources.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("delivery: %s: %w", field, err)
	}
	if amount <= 0 || amount%knativeTick != 0 {
		return 0, fmt.Errorf("delivery: %s: %s is not a multiple of 0.1 s above 0: Knative drops further decimals, and 0 means that there is none", field, text)
	}
	return amount, nil
}

// Pings are the PingSources that the manifests declare.
func Pings(set *manifest.Set, network Network) ([]pingsource.Source, error) {
	made := make([]pingsource.Source, 0, len(set.PingSources))
	for _, declared := range set.PingSources {
		sink, err := network.address(declared.Metadata.Namespace, declared.Spec.Sink)
		if err != nil {
			return nil, fmt.Errorf("ping source %s: %w", declared.Metadata.Name, err)
		}
		ping := pingsource.Source{
			Namespace: declared.Metadata.Namespace, Name: declared.Metadata.Name,
			Schedule: declared.Spec.Schedule, Timezone: declared.Spec.Timezone,
			ContentType: declared.Spec.ContentType, Data: declared.Spec.Data, Sink: sink,
		}
		if err := ping.Validate(); err != nil {
			return nil, err
		}
		made = append(made, ping)
	}
	return made, nil
}
