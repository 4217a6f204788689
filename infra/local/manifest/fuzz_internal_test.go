package manifest

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzManifest reads anything as a manifest. What is taken is taken the same way each
// time, and its check comes to an end.
func FuzzManifest(f *testing.F) {
	paths, err := filepath.Glob("../../knative/base/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no manifests: %v", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	const source = "apiVersion: sources.knative.dev/v1\nkind: KafkaSource\n"
	for _, nasty := range []string{
		"", "---\n---\n", "null", "[]", "a: &a [*a]", "\xff", "%YAML 9.9\n---", "kind: [", strings.Repeat("- ", 5000), strings.Repeat("{a: ", 5000), source, source + "spec: null\n", source + "spec: {topics: null, consumers: -1}\n",
		source + "spec: {consumers: 99999999999999999999}\n", source + "spec: {unknown: 1}\n", source + "metadata: {name: 5, labels: []}\n", source + source, "apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, a: 2}\n",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d]\n", "apiVersion: v1\nkind: Secret\nstringData: {<<: {a: b}}\n",
	} {
		f.Add([]byte(nasty))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var first, second Set
		err := first.add(content)
		if again := second.add(content); (err == nil) != (again == nil) || !reflect.DeepEqual(first, second) {
			t.Fatalf("%q is read as %+v, %v, and then as %+v, %v", content, first, err, second, again)
		}
		if err == nil {
			_ = first.check() // may say anything, but has to say it
		}
	})
}

// FuzzEnvironment resolves any value of a variable. A reference gives what it refers
// to or an error; all else is what it says.
func FuzzEnvironment(f *testing.F) {
	for _, value := range []string{"", "x", "{{ secret:a:b }}", "{{configMap:a:b}}", "{{ secret:a:b }}{{ secret:a:c }}", "{{ secret:: }}", "{{", "x{{ secret:a:b }}", "{{ secret:a:b:c }}", "{{ env:HOME }}", "{{ secret:a:\n }}"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var function Function
		function.Run.Envs = []Env{{Name: "NAME", Value: value}}
		got, err := function.Environment(func(_, _, _ string) (string, bool) { return "resolved", true })
		switch {
		case err != nil && strings.Contains(value, "{{"):
		case err != nil || len(got) != 1:
			t.Errorf("%q is %q, %v", value, got, err)
		case strings.Contains(value, "{{") && got[0] != "NAME=resolved", !strings.Contains(value, "{{") && got[0] != "NAME="+value:
			t.Errorf("%q is resolved to %q", value, got[0])
		}
	})
}
