package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/manifest"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [all.yaml]\n"

// The beginnings of documents.
const (
	topic   = "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {name: x}\n"
	source  = "apiVersion: sources.knative.dev/v1\nkind: KafkaSource\n"
	binding = "apiVersion: sources.knative.dev/v1\nkind: SinkBinding\nspec: {subject: "
)

func TestLoadRefusesWhatItWouldIgnore(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ manifest, want string }{
		"a field of no effect": {
			"apiVersion: sources.knative.dev/v1\nkind: KafkaSource\nmetadata: {name: x}\nspec: {net: {tls: {enable: true}}}\n", "net",
		},
		"a misspelt field": {
			"apiVersion: sources.knative.dev/v1\nkind: KafkaSource\nspec: {delivery: {retries: 3}}\n", "retries",
		},
		"an unknown kind": {"apiVersion: v1\nkind: Service\n", "v1 Service: not known"},
		"an old version":  {"apiVersion: sources.knative.dev/v1beta1\nkind: KafkaSource\n", "not known"},
		"no YAML":         {"a: b: c\n", "all.yaml"},
		"a topic that is compacted": {
			topic + "spec: {config: {cleanup.policy: compact}}\n", "KafkaTopic x: config cleanup.policy: compact: the local platform knows only delete",
		},
		"a setting of a topic": {topic + "spec: {config: {max.message.bytes: '1'}}\n", "config max.message.bytes: the local platform would ignore it"},
		"a label of Strimzi's": {
			"apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {name: x, labels: {strimzi.io/managed: 'false'}}\n", "label strimzi.io/managed",
		},
		"a label of Knative's": {
			"apiVersion: eventing.knative.dev/v1alpha1\nkind: KafkaSink\nmetadata: {name: x, labels: {eventing.knative.dev/scope: cluster}}\n",
			"label eventing.knative.dev/scope",
		},
		"an unknown key type": {source + "metadata: {labels: {kafkasources.sources.knative.dev/key-type: double}}\n", "key-type: \"double\" is none of"},
		"an unknown offset":   {source + "spec: {initialOffset: newest}\n", "initialOffset"},
		"an unknown ordering": {source + "spec: {ordering: sorted}\n", "ordering"},
		"an unknown policy":   {source + "spec: {delivery: {backoffPolicy: constant}}\n", "backoffPolicy"},
		"a negative retry":    {source + "spec: {delivery: {retry: -1}}\n", "retry is below zero"},
		"another subject":     {binding + "{kind: Job, apiVersion: batch/v1}}\n", "subject: the local platform knows only"},
		"a subject's further label": {
			binding + "{kind: Service, apiVersion: serving.knative.dev/v1, selector: {matchLabels: {function.knative.dev/name: a, b: c}}}}\n", "subject",
		},
		"another sink": {
			binding + "{kind: Service, apiVersion: serving.knative.dev/v1, selector: {matchLabels: {function.knative.dev/name: a}}}, " +
				"sink: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: b}}}\n",
			"sink: the local platform binds only",
		},
		"a secret's value": {"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {KEY: hush}\n", "KEY has a value"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"kustomization.yaml": kustomization, "all.yaml": test.manifest, "secrets.yaml": ""})
			if _, err := manifest.Load(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load() = %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestLoadReadsEveryDocument(t *testing.T) {
	t.Parallel()
	sink := "apiVersion: eventing.knative.dev/v1alpha1\nkind: KafkaSink\nmetadata: {name: NAME, namespace: shop}\nspec: {topic: NAME}\n"
	account := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: one}\nautomountServiceAccountToken: false\n"
	both := strings.ReplaceAll(sink, "NAME", "one") + "---\n# a comment\n" + account + "---\n" + strings.ReplaceAll(sink, "NAME", "two")
	set, err := manifest.Load(write(t, map[string]string{"kustomization.yaml": kustomization, "all.yaml": both, "secrets.yaml": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.KafkaSinks) != 2 || set.KafkaSinks[1].Spec.Topic != "two" || set.KafkaSinks[0].Metadata.Namespace != "shop" {
		t.Errorf("sinks = %+v", set.KafkaSinks)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ value, want, problem string }{
		"plain":               {value: "text", want: "A=text"},
		"config map":          {value: "{{ configMap:settings:KEY }}", want: "A=configMap/settings/KEY"},
		"secret, tight":       {value: "{{secret:keys:KEY}}", want: "A=secret/keys/KEY"},
		"a key too few":       {value: "{{ secret:keys }}", problem: "not configMap:name:key"},
		"of who deploys":      {value: "{{ env:HOME }}", problem: "not configMap:name:key"},
		"that does not exist": {value: "{{ secret:keys:NONE }}", problem: "does not exist"},
	}
	value := func(kind, name, key string) (string, bool) { return kind + "/" + name + "/" + key, key != "NONE" }
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"one/func.yaml": "name: one\nrun:\n  envs:\n    - {name: A, value: '" + test.value + "'}\n"})
			functions, err := manifest.LoadFunctions(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := functions[0].Environment(value)
			switch {
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("Environment() = %v, want an error with %q", err, test.problem)
			case test.problem == "" && (err != nil || len(got) != 1 || got[0] != test.want):
				t.Errorf("Environment() = %q, %v, want %q", got, err, test.want)
			}
		})
	}
	if _, err := manifest.LoadFunctions(t.TempDir()); err == nil {
		t.Error("a folder without functions is no error")
	}
}
