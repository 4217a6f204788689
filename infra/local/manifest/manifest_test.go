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
