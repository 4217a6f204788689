// Package verify holds what is deployed to itself: it builds the kustomizations
// of infra/knative, decodes every object strictly into the type that Knative or
// Kubernetes has for it, runs Knative's own defaults and validation, and compares
// manifests, func.yaml files and the catalogue of events.
//
// It is a module of its own, and in no workspace: Knative's types bring a graph of
// dependencies that would bend the versions of everything else.
package verify

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kafkasinks "knative.dev/eventing-kafka-broker/control-plane/pkg/apis/eventing/v1alpha1"
	kafkasources "knative.dev/eventing-kafka-broker/control-plane/pkg/apis/sources/v1"
	eventing "knative.dev/eventing/pkg/apis/sources/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Manifests are the objects of one kustomization.
type Manifests struct {
	// Name is the kustomization's folder, below infra/knative.
	Name            string
	Namespaces      []*corev1.Namespace
	ConfigMaps      []*corev1.ConfigMap
	Secrets         []*corev1.Secret
	ServiceAccounts []*corev1.ServiceAccount
	Policies        []*networkingv1.NetworkPolicy
	Budgets         []*policyv1.PodDisruptionBudget
	Jobs            []*batchv1.Job
	Topics          []*KafkaTopic
	Sinks           []*kafkasinks.KafkaSink
	Sources         []*kafkasources.KafkaSource
	Bindings        []*eventing.SinkBinding
	Pings           []*eventing.PingSource
	// Objects are all of them, in the order of the kustomization.
	Objects []metav1.Object
	// Counts is how many there are of each kind.
	Counts map[string]int
}

// KafkaTopic is Strimzi's, whose Go types nobody publishes: the fields are those
// of the CustomResourceDefinition of its API v1.
type KafkaTopic struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		TopicName  string            `json:"topicName"`
		Partitions int32             `json:"partitions"`
		Replicas   int32             `json:"replicas"`
		Config     map[string]string `json:"config"`
	} `json:"spec"`
}

// decode adds one object to the manifests.
type decode func(m *Manifests, document []byte) error

// kinds are those that may occur: whatever is deployed beyond them would not be
// checked by anybody.
func kinds() map[string]decode {
	return map[string]decode{
		"v1 Namespace":                            into(func(m *Manifests) *[]*corev1.Namespace { return &m.Namespaces }),
		"v1 ConfigMap":                            into(func(m *Manifests) *[]*corev1.ConfigMap { return &m.ConfigMaps }),
		"v1 Secret":                               into(func(m *Manifests) *[]*corev1.Secret { return &m.Secrets }),
		"v1 ServiceAccount":                       into(func(m *Manifests) *[]*corev1.ServiceAccount { return &m.ServiceAccounts }),
		"networking.k8s.io/v1 NetworkPolicy":      into(func(m *Manifests) *[]*networkingv1.NetworkPolicy { return &m.Policies }),
		"policy/v1 PodDisruptionBudget":           into(func(m *Manifests) *[]*policyv1.PodDisruptionBudget { return &m.Budgets }),
		"batch/v1 Job":                            into(func(m *Manifests) *[]*batchv1.Job { return &m.Jobs }),
		"kafka.strimzi.io/v1 KafkaTopic":          into(func(m *Manifests) *[]*KafkaTopic { return &m.Topics }),
		"eventing.knative.dev/v1alpha1 KafkaSink": into(func(m *Manifests) *[]*kafkasinks.KafkaSink { return &m.Sinks }),
		"sources.knative.dev/v1 KafkaSource":      into(func(m *Manifests) *[]*kafkasources.KafkaSource { return &m.Sources }),
		"sources.knative.dev/v1 SinkBinding":      into(func(m *Manifests) *[]*eventing.SinkBinding { return &m.Bindings }),
		"sources.knative.dev/v1 PingSource":       into(func(m *Manifests) *[]*eventing.PingSource { return &m.Pings }),
	}
}

func into[T any, Object interface {
	*T
	metav1.Object
}](list func(*Manifests) *[]*T) decode {
	return func(m *Manifests, document []byte) error {
		object := new(T)
		if err := strictly(document, object); err != nil {
			return err
		}
		*list(m) = append(*list(m), object)
		m.Objects = append(m.Objects, Object(object))
		return nil
	}
}

// strictly decodes as the API server does: a field that the type doesn't have, or
// that stands there twice, is an error, and so is its name in another case.
func strictly(document []byte, object any) error {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	wrong, err := json.UnmarshalStrict(text, object)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if len(wrong) > 0 {
		return wrong[0]
	}
	return nil
}

// Build makes the objects of the kustomization in a folder.
func Build(folder, name string) (*Manifests, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("%s: build: %w", name, err)
	}
	m := &Manifests{Name: name, Counts: map[string]int{}}
	for _, resource := range built.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := m.add(document); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Manifests) add(document []byte) error {
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return fmt.Errorf("%s: read kind: %w", m.Name, err)
	}
	kind, known := kinds()[meta.APIVersion+" "+meta.Kind]
	if !known {
		return fmt.Errorf("%s: %s %s %s is of a kind that nothing here can check: add it to kinds", m.Name, meta.APIVersion, meta.Kind, meta.Name)
	}
	if err := kind(m, document); err != nil {
		return fmt.Errorf("%s: %s %s: %w", m.Name, meta.Kind, meta.Name, err)
	}
	m.Counts[meta.Kind]++
	return nil
}
