package verify

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	eventingduck "knative.dev/eventing/pkg/apis/duck/v1"

	kafkasources "knative.dev/eventing-kafka-broker/control-plane/pkg/apis/sources/v1"
	"knative.dev/eventing-kafka-broker/control-plane/pkg/autoscaler"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/orderflow-project/orderflow/events"
)

// missing are the members of want that aren't in got.
func missing(want, got []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(name string) bool { return slices.Contains(got, name) })
}

func everyEventHasItsTopic(_ *System, m *Manifests, found *problems) {
	var declared []string
	for _, topic := range m.Topics {
		declared = append(declared, topic.Spec.TopicName)
		if topic.Name != topic.Spec.TopicName {
			found.addf("KafkaTopic %s is for the topic %s: want one name", topic.Name, topic.Spec.TopicName)
		}
	}
	for _, name := range missing(topics(), declared) {
		found.addf("the catalogue has %s, but there is no KafkaTopic for it", name)
	}
	for _, name := range missing(declared, topics()) {
		found.addf("KafkaTopic %s is for nothing in the catalogue", name)
	}
}

// topicsKeepWhatTheyAreGiven looks at the numbers that decide whether an event is
// still there when somebody comes for it.
func topicsKeepWhatTheyAreGiven(_ *System, m *Manifests, found *problems) {
	var kept, letters int
	for _, topic := range m.Topics {
		number := func(key string) int {
			value, err := strconv.Atoi(topic.Spec.Config[key])
			if err != nil || value <= 0 {
				found.addf("KafkaTopic %s: %s must be stated, as a number above zero", topic.Name, key)
			}
			return value
		}
		retention := number("retention.ms")
		number("retention.bytes")
		inSync := number("min.insync.replicas")
		if replicas := int(topic.Spec.Replicas); inSync >= replicas && replicas != 1 || inSync > replicas {
			found.addf("KafkaTopic %s: %d of %d replicas must have a record: then the loss of one broker refuses events", topic.Name, inSync, replicas)
		}
		if policy := topic.Spec.Config["cleanup.policy"]; policy != "delete" {
			found.addf("KafkaTopic %s: cleanup.policy is %q, want delete: compaction would drop the events of an order but the last", topic.Name, policy)
		}
		if topic.Name == events.TopicDeadLetters {
			letters = retention
		} else {
			kept = max(kept, retention)
		}
	}
	if letters < kept {
		found.addf("KafkaTopic %s forgets sooner than the others: people are slower than functions", events.TopicDeadLetters)
	}
}

func everyEventHasItsSink(_ *System, m *Manifests, found *problems) {
	var sinks []string
	for _, sink := range m.Sinks {
		sinks = append(sinks, sink.Name)
		if sink.Spec.Topic != sink.Name {
			found.addf("KafkaSink %s is for the topic %s: events are sent to the sink of their name", sink.Name, sink.Spec.Topic)
		}
		if sink.Spec.NumPartitions != nil || sink.Spec.ReplicationFactor != nil {
			found.addf("KafkaSink %s states numPartitions or replicationFactor: its topic would be deleted together with it", sink.Name)
		}
		if mode := sink.Spec.ContentMode; mode == nil || *mode != "binary" {
			found.addf("KafkaSink %s: contentMode must be stated as binary", sink.Name)
		}
	}
	for _, name := range missing(topics(), sinks) {
		found.addf("topic %s has no KafkaSink: nobody could send to it", name)
	}
	for _, name := range missing(sinks, topics()) {
		found.addf("KafkaSink %s is for nothing in the catalogue", name)
	}
}

func everyReaderHasItsSource(_ *System, m *Manifests, found *problems) {
	want, read := readers(), map[string][]string{}
	for _, source := range m.Sources {
		name := source.Name
		if !isService(source.Spec.Sink, name) || read[name] != nil {
			found.addf("KafkaSource %s: want one source per function, of its name, that calls it and nothing else", name)
		}
		read[name] = source.Spec.Topics
		for _, topic := range missing(source.Spec.Topics, want[name]) {
			found.addf("KafkaSource %s reads %s, which the catalogue doesn't have its function read", name, topic)
		}
	}
	for _, function := range slices.Sorted(maps.Keys(want)) {
		for _, topic := range missing(want[function], read[function]) {
			found.addf("%s must read %s, but no KafkaSource has it do so", function, topic)
		}
	}
}

func isService(to duckv1.Destination, name string) bool {
	return to.URI == nil && to.Ref != nil && to.Ref.APIVersion == "serving.knative.dev/v1" && to.Ref.Kind == "Service" && to.Ref.Name == name
}

func isSink(to *duckv1.Destination, name string) bool {
	return to != nil && to.URI == nil && to.Ref != nil && to.Ref.APIVersion == "eventing.knative.dev/v1alpha1" && to.Ref.Kind == "KafkaSink" && to.Ref.Name == name
}

func everySourceSaysHowItReads(_ *System, m *Manifests, found *problems) {
	for _, source := range m.Sources {
		spec := source.Spec
		if spec.Consumers == nil || *spec.Consumers < 1 {
			found.addf("KafkaSource %s: consumers must be stated, as one at least", source.Name)
		}
		if spec.InitialOffset != kafkasources.OffsetEarliest {
			found.addf("KafkaSource %s: initialOffset must be earliest: an order placed before the source was there would be forgotten", source.Name)
		}
		if spec.Ordering == nil || *spec.Ordering != kafkasources.Unordered {
			found.addf("KafkaSource %s: ordering must be unordered: one stuck event would hold up its partition", source.Name)
		}
		if want := "orderflow." + source.Name; spec.ConsumerGroup != want {
			found.addf("KafkaSource %s: consumerGroup is %q, want %s: with another, everything is read again", source.Name, spec.ConsumerGroup, want)
		}
	}
}

// everySourceSaysHowItDelivers wants every field: one that is left out of delivery
// doesn't get the default of the absent block but none.
func everySourceSaysHowItDelivers(_ *System, m *Manifests, found *problems) {
	for _, source := range m.Sources {
		delivery := source.Spec.Delivery
		if delivery == nil {
			found.addf("KafkaSource %s has no delivery: nothing would become a dead letter", source.Name)
			continue
		}
		for _, field := range unstated(*delivery) {
			found.addf("KafkaSource %s: delivery.%s isn't stated: it would be none, not the default", source.Name, field)
		}
		switch last := source.Name == deadLetters; {
		case last && delivery.DeadLetterSink != nil:
			found.addf("KafkaSource %s sends what fails to itself: one bad event would turn for ever", source.Name)
		case !last && !isSink(delivery.DeadLetterSink, events.TopicDeadLetters):
			found.addf("KafkaSource %s has no dead letter sink: an event that fails would be lost", source.Name)
		}
	}
}

func unstated(delivery eventingduck.DeliverySpec) []string {
	var fields []string
	for field, stated := range map[string]bool{
		"retry":         delivery.Retry != nil,
		"backoffPolicy": delivery.BackoffPolicy != nil,
		"backoffDelay":  delivery.BackoffDelay != nil,
		"timeout":       delivery.Timeout != nil,
	} {
		if !stated {
			fields = append(fields, field)
		}
	}
	return fields
}

// sourcesScaleWithinTheirTopics: a consumer more than a topic has partitions has
// nothing to read.
func sourcesScaleWithinTheirTopics(_ *System, m *Manifests, found *problems) {
	partitions := map[string]int{}
	for _, topic := range m.Topics {
		partitions[topic.Name] = int(topic.Spec.Partitions)
	}
	for _, source := range m.Sources {
		most := autoscaled(source, found)
		if source.Spec.Consumers != nil {
			most = max(most, int(*source.Spec.Consumers))
		}
		for _, topic := range source.Spec.Topics {
			if most > partitions[topic] {
				found.addf("KafkaSource %s may have %d consumers, but %s has %d partitions: the others would have nothing to read", source.Name, most, topic, partitions[topic])
			}
		}
	}
}

// keda is the one class of autoscaler there is.
const keda = "keda.autoscaling.knative.dev"

// autoscaled is how many consumers KEDA may make of a source.
func autoscaled(source *kafkasources.KafkaSource, found *problems) int {
	known := []string{
		autoscaler.AutoscalingMinScaleAnnotation, autoscaler.AutoscalingMaxScaleAnnotation, autoscaler.AutoscalingPollingIntervalAnnotation,
		autoscaler.AutoscalingCooldownPeriodAnnotation, autoscaler.AutoscalingLagThreshold,
	}
	numbers := map[string]int{}
	for key, value := range source.Annotations {
		switch {
		case !strings.HasPrefix(key, autoscaler.Autoscaling) || key == autoscaler.AutoscalingClassAnnotation:
		case !slices.Contains(known, key):
			found.addf("KafkaSource %s: the annotation %s does nothing", source.Name, key)
		default:
			number, err := strconv.Atoi(value)
			if err != nil || number < 0 {
				found.addf("KafkaSource %s: the annotation %s is %q, want a number", source.Name, key, value)
			}
			numbers[key] = number
		}
	}
	if class := source.Annotations[autoscaler.AutoscalingClassAnnotation]; len(numbers) > 0 && class != keda {
		found.addf("KafkaSource %s: the annotation %s is %q, want %s, or the others do nothing", source.Name, autoscaler.AutoscalingClassAnnotation, class, keda)
	}
	least, most := numbers[autoscaler.AutoscalingMinScaleAnnotation], numbers[autoscaler.AutoscalingMaxScaleAnnotation]
	if least > most {
		found.addf("KafkaSource %s: min-scale %d is above max-scale %d", source.Name, least, most)
	}
	return most
}

func everySenderIsBound(_ *System, m *Manifests, found *problems) {
	want, bound := senders(), map[string]bool{}
	for _, binding := range m.Bindings {
		name, subject, sink := binding.Name, binding.Spec.Subject, binding.Spec.Sink
		selector := subject.Selector
		if subject.Name != "" || selector == nil || selector.MatchLabels["function.knative.dev/name"] != name || len(selector.MatchLabels) != 1 {
			found.addf("SinkBinding %s must select the function of its name, by its label function.knative.dev/name: by name it stops half way while the function is missing", name)
		}
		if bound[name] {
			found.addf("SinkBinding %s is there twice: a function has one K_SINK", name)
		}
		bound[name] = true
		if !slices.ContainsFunc(want[name], func(topic string) bool { return isSink(&sink, topic) }) {
			found.addf("SinkBinding %s leads to a sink that its function doesn't send to", name)
		}
	}
	for _, function := range slices.Sorted(maps.Keys(want)) {
		if !bound[function] {
			found.addf("%s sends events, but has no SinkBinding: it would answer with them, and nobody would listen", function)
		}
	}
}

func everyPingArrives(s *System, m *Manifests, found *problems) {
	for _, ping := range m.Pings {
		if !isService(ping.Spec.Sink, ping.Name) || !s.has(ping.Name) {
			found.addf("PingSource %s: want it to call the function of its name", ping.Name)
		}
	}
	if len(m.Pings) == 0 {
		found.addf("there is no PingSource: order-recovery would never wake")
	}
}

// everybodyMeansTheSameKafka: a sink that writes to another Kafka than the sources
// read would lose events without a word.
func everybodyMeansTheSameKafka(_ *System, m *Manifests, found *problems) {
	var first string
	same := func(kind, name string, servers []string) {
		all := strings.Join(servers, ",")
		if first == "" {
			first = all
		}
		if all != first {
			found.addf("%s %s has the bootstrapServers %s, and others %s: there is one Kafka", kind, name, all, first)
		}
	}
	for _, sink := range m.Sinks {
		same("KafkaSink", sink.Name, sink.Spec.BootstrapServers)
	}
	for _, source := range m.Sources {
		same("KafkaSource", source.Name, source.Spec.BootstrapServers)
	}
}
