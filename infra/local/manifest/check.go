package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// KeyTypeLabel says on a KafkaSource how the keys of records are read.
const KeyTypeLabel = "kafkasources.sources.knative.dev/key-type"

// functionLabel is what func puts on the Service that it makes of a function.
const functionLabel = "function.knative.dev/name"

// check refuses what decoding can't: a value, a label or a setting of a topic
// that means something to the cluster and would do nothing here.
func (s *Set) check() error {
	var problem error
	note := func(kind string, metadata Metadata, err error) {
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("%s %s: %w", kind, metadata.Name, err))
		}
	}
	for _, topic := range s.KafkaTopics {
		note("KafkaTopic", topic.Metadata, errors.Join(topic.Metadata.check("strimzi.io/cluster"), topic.Spec.check()))
	}
	for _, sink := range s.KafkaSinks {
		note("KafkaSink", sink.Metadata, sink.Metadata.check())
	}
	for _, binding := range s.SinkBindings {
		note("SinkBinding", binding.Metadata, errors.Join(binding.Metadata.check(), binding.Spec.check()))
	}
	for _, source := range s.KafkaSources {
		note("KafkaSource", source.Metadata, errors.Join(source.Metadata.check(KeyTypeLabel), source.Spec.check(),
			oneOf("label "+KeyTypeLabel, source.Metadata.Labels[KeyTypeLabel], "string", "int", "float", "byte-array")))
	}
	for _, ping := range s.PingSources {
		note("PingSource", ping.Metadata, ping.Metadata.check())
	}
	for _, secret := range s.Secrets {
		note("Secret", secret.Metadata, secret.check())
	}
	return problem
}

// check refuses the labels that Knative or Strimzi would act on, but for those
// that are known here.
func (m Metadata) check(known ...string) error {
	for _, label := range slices.Sorted(maps.Keys(m.Labels)) {
		domain, _, _ := strings.Cut(label, "/")
		if (strings.HasSuffix(domain, "knative.dev") || strings.HasSuffix(domain, "strimzi.io")) && !slices.Contains(known, label) {
			return fmt.Errorf("label %s: the local platform would ignore it", label)
		}
	}
	return nil
}

// check knows what the broker is told. One that is alone has no replicas in
// sync to wait for.
func (s KafkaTopicSpec) check() error {
	for _, key := range slices.Sorted(maps.Keys(s.Config)) {
		switch key {
		case "retention.ms", "retention.bytes", "min.insync.replicas":
		case "cleanup.policy":
			if s.Config[key] != "delete" {
				return fmt.Errorf("config %s: %s: the local platform knows only delete", key, s.Config[key])
			}
		default:
			return fmt.Errorf("config %s: the local platform would ignore it", key)
		}
	}
	return nil
}

func (s SinkBindingSpec) check() error {
	labels := s.Subject.Selector.MatchLabels
	if s.Subject.TypeMeta != (TypeMeta{"serving.knative.dev/v1", "Service"}) || len(labels) != 1 || labels[functionLabel] == "" {
		return fmt.Errorf("subject: the local platform knows only a serving.knative.dev/v1 Service, by the label %s alone", functionLabel)
	}
	if s.Sink.Ref.TypeMeta != (TypeMeta{"eventing.knative.dev/v1alpha1", "KafkaSink"}) {
		return errors.New("sink: the local platform binds only to an eventing.knative.dev/v1alpha1 KafkaSink")
	}
	return nil
}

// check holds the words to those there are, which the dispatcher does too, but
// in a process of its own, after the start.
func (s KafkaSourceSpec) check() error {
	err := errors.Join(oneOf("initialOffset", s.InitialOffset, "earliest", "latest"),
		oneOf("ordering", s.Ordering, "ordered", "unordered"))
	if s.Delivery == nil {
		return err
	}
	if s.Delivery.Retry != nil && *s.Delivery.Retry < 0 {
		err = errors.Join(err, errors.New("delivery: retry is below zero"))
	}
	return errors.Join(err, oneOf("backoffPolicy", s.Delivery.BackoffPolicy, "linear", "exponential"))
}

// check keeps the template one: its values are made here, or the user's.
func (s Secret) check() error {
	for _, key := range slices.Sorted(maps.Keys(s.StringData)) {
		if s.StringData[key] != "" {
			return fmt.Errorf("%s has a value, which the local platform would ignore", key)
		}
	}
	return nil
}

// oneOf accepts a value that isn't given, too.
func oneOf(what, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %s", what, value, strings.Join(allowed, ", "))
}
