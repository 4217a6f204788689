// Package manifest reads the manifests of the cluster (infra/knative) and each
// function's func.yaml, so that the laptop runs what the cluster runs.
//
// It knows the fields that the local platform acts on and no others: a manifest
// with a field that would silently do nothing here is an error. So is a kind of
// object, but for those that one machine has no use for, and a value or a label
// that Knative, Strimzi or Kafka would act on and the local platform doesn't.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Set is what a kustomization and its secret templates declare.
type Set struct {
	Namespaces   []Namespace
	ConfigMaps   []ConfigMap
	Secrets      []Secret
	KafkaTopics  []KafkaTopic
	KafkaSinks   []KafkaSink
	SinkBindings []SinkBinding
	KafkaSources []KafkaSource
	PingSources  []PingSource
}

// Load reads what the kustomization.yaml in dir lists, and secrets.yaml beside
// it for the names of the secrets.
func Load(dir string) (*Set, error) {
	var kustomization struct {
		TypeMeta  `yaml:",inline"`
		Resources []string
		Labels    []struct{ Pairs map[string]string }
	}
	if err := decodeFile(filepath.Join(dir, "kustomization.yaml"), &kustomization); err != nil {
		return nil, err
	}
	set := &Set{}
	for _, name := range append(kustomization.Resources, "secrets.yaml") {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		if err := set.add(content); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := set.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return set, nil
}

func decodeFile(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// add decodes every document of one file.
func (s *Set) add(content []byte) error {
	documents := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse yaml: %w", err)
		}
		if err := s.addDocument(&document); err != nil {
			return err
		}
	}
}

func (s *Set) addDocument(document *yaml.Node) error {
	var meta TypeMeta
	if err := document.Decode(&meta); err != nil {
		return fmt.Errorf("read kind: %w", err)
	}
	switch meta {
	case TypeMeta{"v1", "Namespace"}:
		return appendTo(&s.Namespaces, document)
	case TypeMeta{"v1", "ConfigMap"}:
		return appendTo(&s.ConfigMaps, document)
	case TypeMeta{"v1", "Secret"}:
		return appendTo(&s.Secrets, document)
	case TypeMeta{"kafka.strimzi.io/v1", "KafkaTopic"}:
		return appendTo(&s.KafkaTopics, document)
	case TypeMeta{"eventing.knative.dev/v1alpha1", "KafkaSink"}:
		return appendTo(&s.KafkaSinks, document)
	case TypeMeta{"sources.knative.dev/v1", "SinkBinding"}:
		return appendTo(&s.SinkBindings, document)
	case TypeMeta{"sources.knative.dev/v1", "KafkaSource"}:
		return appendTo(&s.KafkaSources, document)
	case TypeMeta{"sources.knative.dev/v1", "PingSource"}:
		return appendTo(&s.PingSources, document)
	case TypeMeta{"v1", "ServiceAccount"}, TypeMeta{"networking.k8s.io/v1", "NetworkPolicy"}:
		// Of the cluster alone: here every process is the user's, and listens on
		// 127.0.0.1. infra/knative/verify decodes them.
		return nil
	default:
		return fmt.Errorf("%s %s: not known to the local platform", meta.APIVersion, meta.Kind)
	}
}

// appendTo decodes strictly. A yaml.Node can't be, so the document makes a
// detour through text.
func appendTo[T any](list *[]T, document *yaml.Node) error {
	text, err := yaml.Marshal(document)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var resource T
	if err := decoder.Decode(&resource); err != nil {
		return fmt.Errorf("decode %T: %w", resource, err)
	}
	*list = append(*list, resource)
	return nil
}
