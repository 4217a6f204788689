package events_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReleasedSchemasAreKept is the gate against incompatible change: each
// schema, as it first went out, is compared with what it is today.
func TestReleasedSchemasAreKept(t *testing.T) {
	t.Parallel()
	released, err := filepath.Glob("released/*.json")
	if err != nil || len(released) == 0 {
		t.Fatalf("no released schemas: %v", err)
	}
	for _, path := range released {
		today := filepath.Join("schemas", filepath.Base(path))
		if _, err := os.Stat(today); err != nil {
			t.Errorf("%s was released and is gone: %v", today, err)
			continue
		}
		for _, problem := range incompatible(readJSON(t, path), readJSON(t, today), "") {
			t.Errorf("%s: %s; this takes a new major version", today, problem)
		}
	}
	schemas, err := filepath.Glob("schemas/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range schemas {
		if _, err := os.Stat(filepath.Join("released", filepath.Base(path))); err != nil {
			t.Errorf("%s has no copy in released/: copy it there when it goes out", path)
		}
	}
}

// incompatible says in which ways a schema refuses what it once took, or
// promises less than it once did.
func incompatible(before, now map[string]any, path string) []string {
	var problems []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		problems = append(problems, compareKeyword(key, before[key], now[key], path)...)
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, was := before[key]; !was && !harmless(key) {
			problems = append(problems, fmt.Sprintf("%s: %q is new and may refuse what was taken before", path, key))
		}
	}
	return problems
}

func harmless(key string) bool {
	return slices.Contains([]string{"title", "description", "examples", "$comment"}, key)
}

func compareKeyword(key string, before, now any, path string) []string {
	switch {
	case harmless(key):
		return nil
	case now == nil:
		return []string{fmt.Sprintf("%s: %q is gone", path, key)}
	case key == "properties" || key == "$defs":
		return compareMembers(before.(map[string]any), now.(map[string]any), path) //nolint:forcetypeassert // JSON Schema says so
	case key == "items":
		return incompatible(before.(map[string]any), now.(map[string]any), path+"[]") //nolint:forcetypeassert // JSON Schema says so
	case key == "enum":
		return missing(before.([]any), now.([]any), path+" enum") //nolint:forcetypeassert // JSON Schema says so
	case fmt.Sprint(before) != fmt.Sprint(now):
		return []string{fmt.Sprintf("%s: %q was %v and is %v", path, key, before, now)}
	}
	return nil
}

func compareMembers(before, now map[string]any, path string) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		member, ok := now[name].(map[string]any)
		if !ok {
			problems = append(problems, fmt.Sprintf("%s.%s is gone", path, name))
			continue
		}
		problems = append(problems, incompatible(before[name].(map[string]any), member, path+"."+name)...) //nolint:forcetypeassert // JSON Schema says so
	}
	return problems
}

func missing(before, now []any, path string) []string {
	var problems []string
	for _, value := range before {
		if !slices.Contains(now, value) {
			problems = append(problems, fmt.Sprintf("%s: %v is gone", path, value))
		}
	}
	return problems
}

// TestTheGateCloses changes a schema in each forbidden way, and in each allowed one.
func TestTheGateCloses(t *testing.T) {
	t.Parallel()
	base := func() map[string]any {
		return map[string]any{
			"type": "object", "required": []any{"a"},
			"properties": map[string]any{
				"a": map[string]any{"type": "string"},
				"b": map[string]any{"enum": []any{"x", "y"}},
				"c": map[string]any{"type": "array", "items": map[string]any{"type": "integer"}},
			},
		}
	}
	property := func(s map[string]any, name string) map[string]any {
		return s["properties"].(map[string]any)[name].(map[string]any) //nolint:forcetypeassert // made above
	}
	for name, test := range map[string]struct {
		change func(map[string]any)
		want   string // part of the problem; empty where there is none
	}{
		"a field is gone":         {func(s map[string]any) { delete(s["properties"].(map[string]any), "b") }, ".b is gone"},
		"a field has a new type":  {func(s map[string]any) { property(s, "a")["type"] = "integer" }, `"type" was string`},
		"an element has another":  {func(s map[string]any) { property(s, "c")["items"] = map[string]any{"type": "string"} }, "was integer"},
		"a field is now required": {func(s map[string]any) { s["required"] = []any{"a", "b"} }, `"required" was [a]`},
		"a field is now optional": {func(s map[string]any) { s["required"] = []any{} }, `"required" was [a]`},
		"a value is gone":         {func(s map[string]any) { property(s, "b")["enum"] = []any{"x"} }, "y is gone"},
		"a new limit":             {func(s map[string]any) { property(s, "a")["maxLength"] = 3 }, `"maxLength" is new`},
		"no other fields":         {func(s map[string]any) { s["additionalProperties"] = false }, `"additionalProperties" is new`},
		"a field is added":        {func(s map[string]any) { s["properties"].(map[string]any)["d"] = map[string]any{} }, ""},
		"a value is added":        {func(s map[string]any) { property(s, "b")["enum"] = []any{"x", "y", "z"} }, ""},
		"other words":             {func(s map[string]any) { s["description"] = "better" }, ""},
	} {
		changed := base()
		test.change(changed)
		got := strings.Join(incompatible(base(), changed, ""), "; ")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: problems %q, want one with %q", name, got, test.want)
		}
	}
}
