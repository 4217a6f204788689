package conventions_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// setting is an environment variable that a function reads.
type setting struct {
	name string
	// without is what holds where it isn't set, as the table of settings says it.
	without string
}

// injected are the variables that a SinkBinding and Knative Serving set, which a
// func.yaml would only override.
func injected() []string { return []string{"K_SINK", "K_CE_OVERRIDES", "K_CA_CERTS", "K_SERVICE"} }

// settingsIn are the variables that a file's structs are filled from.
func settingsIn(f file) []setting {
	var found []setting
	ast.Inspect(f.tree, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		// The parser has checked that it is a string.
		text, _ := strconv.Unquote(field.Tag.Value)
		tag := reflect.StructTag(text)
		name, options, _ := strings.Cut(tag.Get("env"), ",")
		switch value, has := tag.Lookup("envDefault"); {
		case name == "":
		case has:
			found = append(found, setting{name, "`" + value + "`"})
		case strings.Contains(options, "required"):
			found = append(found, setting{name, "needed"})
		default:
			found = append(found, setting{name, ""})
		}
		return true
	})
	return found
}

// packagesOf are the folders of ours that a function is built from.
func packagesOf(function string, files []file) map[string]bool {
	all, next := map[string]bool{}, []string{"functions/" + function}
	for len(next) > 0 {
		dir := next[0]
		next = next[1:]
		if all[dir] {
			continue
		}
		all[dir] = true
		for _, f := range files {
			if f.dir != dir || f.test() {
				continue
			}
			for _, imported := range f.imports() {
				if below, ours := strings.CutPrefix(imported, project); ours {
					next = append(next, below)
				}
			}
		}
	}
	return all
}

// settingsOf are the variables that a function reads, by name.
func settingsOf(function string, files []file) map[string]setting {
	packages, read := packagesOf(function, files), map[string]setting{}
	for _, f := range files {
		if packages[f.dir] && !f.test() {
			for _, s := range settingsIn(f) {
				read[s.name] = s
			}
		}
	}
	return read
}

// variable is an entry of a func.yaml, and the key that it is taken from.
type variable struct {
	name, key string
}

func contents(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// given are the variables of each function's func.yaml. They all look the same,
// which spares this module a dependency on YAML; those that don't are an error.
func given(t *testing.T) map[string][]variable {
	t.Helper()
	paths, err := filepath.Glob(root + "/functions/*/func.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no functions (%v)", err)
	}
	entry := regexp.MustCompile(`- name: (\w+)\n +value: '\{\{ (?:configMap|secret):[a-z0-9-]+:(\w+) \}\}'\n`)
	all := map[string][]variable{}
	for _, path := range paths {
		function := filepath.Base(filepath.Dir(path))
		text := contents(t, "functions/"+function+"/func.yaml")
		for _, found := range entry.FindAllStringSubmatch(text, -1) {
			all[function] = append(all[function], variable{found[1], found[2]})
		}
		if entries := strings.Count(text, "- name:"); entries != len(all[function]) {
			t.Errorf("functions/%s/func.yaml has %d variables, of which %d are '{{ configMap:name:KEY }}' or '{{ secret:name:KEY }}'",
				function, entries, len(all[function]))
		}
	}
	return all
}

// differences says what a func.yaml gives that isn't read, and what is read
// that it doesn't give.
func differences(given []variable, read map[string]setting) []string {
	var wrong []string
	names := map[string]bool{}
	for _, v := range given {
		_, isRead := read[v.name]
		switch {
		case names[v.name]:
			wrong = append(wrong, "gives "+v.name+" twice")
		case slices.Contains(injected(), v.name):
			wrong = append(wrong, "gives "+v.name+", which is for the SinkBinding to set")
		case !isRead:
			wrong = append(wrong, "gives "+v.name+", which the function doesn't read: it is misspelt, or left over")
		}
		names[v.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if !names[name] && !slices.Contains(injected(), name) {
			wrong = append(wrong, "doesn't give "+name+", which the function reads: nobody could change it on a cluster")
		}
	}
	return wrong
}

func TestEveryFunctionIsGivenWhatItReads(t *testing.T) {
	t.Parallel()
	files := sources(t)
	for function, variables := range given(t) {
		for _, wrong := range differences(variables, settingsOf(function, files)) {
			t.Errorf("functions/%s/func.yaml %s", function, wrong)
		}
	}
}

func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	f := parse(t, "package function\ntype Config struct {\n\tA string `env:\"A,required\"`\n\tB string `env:\"B\" envDefault:\"b\"`\n\tK string `env:\"K_SINK\"`\n\tN string `json:\"n\"`\n}")
	read := map[string]setting{}
	for _, s := range settingsIn(f) {
		read[s.name] = s
	}
	if len(read) != 3 || read["A"].without != "needed" || read["B"].without != "`b`" {
		t.Errorf("settings of the example: %v", read)
	}
	if got := differences([]variable{{name: "A"}, {name: "B"}}, read); len(got) != 0 {
		t.Errorf("found wrong what is right: %v", got)
	}
	for _, given := range [][]variable{
		{{name: "A"}}, {{name: "A"}, {name: "B"}, {name: "C"}}, {{name: "A"}, {name: "B"}, {name: "B"}}, {{name: "A"}, {name: "B"}, {name: "K_SINK"}},
	} {
		if got := differences(given, read); len(got) != 1 {
			t.Errorf("differences(%v) = %v, want one", given, got)
		}
	}
}

// A setting has one name everywhere, so that whoever knows it from the code
// finds it in the ConfigMap. Keys that nobody takes look as if they did something.
func TestEveryKeyOfTheConfigMapIsTaken(t *testing.T) {
	t.Parallel()
	taken := map[string]bool{}
	for function, variables := range given(t) {
		for _, v := range variables {
			if v.key != v.name {
				t.Errorf("functions/%s/func.yaml takes %s from the key %s, want the key of its name", function, v.name, v.key)
			}
			taken[v.name] = true
		}
	}
	keys := regexp.MustCompile(`(?m)^  ([A-Z0-9_]+): `).FindAllStringSubmatch(contents(t, "infra/knative/base/config-map.yaml"), -1)
	if len(keys) == 0 {
		t.Error("config-map.yaml has no keys")
	}
	for _, key := range keys {
		if !taken[key[1]] {
			t.Errorf("config-map.yaml has %s, which no func.yaml takes", key[1])
		}
	}
}

// The table of settings in infra/README.md is written by hand but for its first
// three columns, which are said here.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\|[^|]*\\|[^|]*\\| [^|]+ \\|$").FindAllString(contents(t, "infra/README.md"), -1) {
		cells := strings.SplitAfter(row, "|")
		rows = append(rows, strings.Join(cells[:4], ""))
	}
	want := documented(t)
	for _, row := range want {
		if !slices.Contains(rows, row) {
			t.Errorf("infra/README.md's settings need a row %s what it is |", row)
		}
	}
	for _, row := range rows {
		if !slices.Contains(want, row) {
			t.Errorf("infra/README.md has a row of settings %s that isn't so", row)
		}
	}
}

// documented are the first three columns of the table: the setting, who reads
// it, and what holds without it.
func documented(t *testing.T) []string {
	t.Helper()
	files, functions := sources(t), slices.Sorted(maps.Keys(given(t)))
	readers, settings := map[string][]string{}, map[string]setting{}
	for _, function := range functions {
		for name, s := range settingsOf(function, files) {
			readers[name] = append(readers[name], function)
			if before, found := settings[name]; found && before != s {
				s.without = "it depends"
			}
			settings[name] = s
		}
	}
	var rows []string
	for name, s := range settings {
		if slices.Contains(injected(), name) {
			continue
		}
		by := strings.Join(readers[name], ", ")
		if len(readers[name]) == len(functions) {
			by = "all"
		}
		rows = append(rows, strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |", name, by, s.without), "|  |", "| |"))
	}
	return slices.Sorted(slices.Values(rows))
}
