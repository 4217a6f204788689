package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderflow-project/orderflow/events"
)

func readJSON(t testing.TB, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		t.Fatalf("%s is not an object", path)
	}
	return object
}

// compile loads every schema of a folder under its own id, and compiles one.
func compile(t testing.TB, folder, file string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no schemas in %s: %v", folder, err)
	}
	for _, path := range paths {
		schema := readJSON(t, path)
		id, _ := schema["$id"].(string)
		if want := "https://orderflow.example/schemas/" + filepath.Base(path); id != want {
			t.Errorf("%s: $id = %q, want %q", path, id, want)
		}
		if err := compiler.AddResource(id, schema); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	compiled, err := compiler.Compile("https://orderflow.example/schemas/" + file)
	if err != nil {
		t.Fatalf("compile %s: %v", file, err)
	}
	return compiled
}

func examplePath(entry events.Entry) string {
	return filepath.Join("examples", entry.Name+".json")
}

func TestExamplesObeyTheirSchemasAndTypes(t *testing.T) {
	t.Parallel()
	for _, entry := range events.Catalog() {
		t.Run(entry.Name, func(t *testing.T) {
			t.Parallel()
			example := readJSON(t, examplePath(entry))
			for _, folder := range []string{"schemas", "released"} {
				if err := compile(t, folder, entry.SchemaFile()).Validate(example); err != nil {
					t.Errorf("example against %s/%s: %v", folder, entry.SchemaFile(), err)
				}
			}
			text, err := os.ReadFile(examplePath(entry))
			if err != nil {
				t.Fatal(err)
			}
			data, err := events.Decode(entry.Type, text)
			if err != nil {
				t.Fatalf("decode example: %v", err)
			}
			back, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := jsonschema.UnmarshalJSON(bytes.NewReader(back))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(any(example), again); diff != "" {
				t.Errorf("example changes on its way through the Go type (-example +type):\n%s", diff)
			}
		})
	}
}

// TestTypesHaveTheSchemasFields compares names and obligation of fields, at
// every depth, so that neither side can gain or lose one alone.
func TestTypesHaveTheSchemasFields(t *testing.T) {
	t.Parallel()
	types := map[string]reflect.Type{
		events.TypeOrderPlaced:      reflect.TypeFor[events.OrderPlaced](),
		events.TypePaymentVerified:  reflect.TypeFor[events.PaymentVerified](),
		events.TypeInventoryUpdated: reflect.TypeFor[events.InventoryUpdated](),
		events.TypeOrderShipped:     reflect.TypeFor[events.OrderShipped](),
		events.TypeOrderCancelled:   reflect.TypeFor[events.OrderCancelled](),
		events.TypeOrderReturned:    reflect.TypeFor[events.OrderReturned](),
	}
	for _, entry := range events.Catalog() {
		want := fieldsOfSchema(compile(t, "schemas", entry.SchemaFile()), "")
		got := fieldsOfType(types[entry.Type], "")
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: fields of schema and Go type differ (-schema +type):\n%s", entry.Name, diff)
		}
	}
}

func fieldsOfSchema(s *jsonschema.Schema, path string) []string {
	for s.Ref != nil {
		s = s.Ref
	}
	if items, ok := s.Items2020, s.Items2020 != nil; ok {
		return fieldsOfSchema(items, path+"[]")
	}
	if len(s.Properties) == 0 {
		return []string{path}
	}
	var all []string
	for name, property := range s.Properties {
		mark := ""
		if !slices.Contains(s.Required, name) {
			mark = "?"
		}
		all = append(all, fieldsOfSchema(property, path+"."+name+mark)...)
	}
	return all
}

func fieldsOfType(t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.Slice:
		return fieldsOfType(t.Elem(), path+"[]")
	case reflect.Struct:
	default:
		return []string{path}
	}
	var all []string
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if strings.Contains(options, "omitempty") {
			name += "?"
		}
		all = append(all, fieldsOfType(field.Type, path+"."+name)...)
	}
	return all
}

func TestReasonsAreTheSchemas(t *testing.T) {
	t.Parallel()
	wantEnum(t, "reason", events.Reasons())
	wantEnum(t, "return_reason", events.ReturnReasons())
}

func wantEnum[T ~string](t *testing.T, definition string, reasons []T) {
	t.Helper()
	var want []any
	for _, reason := range reasons {
		want = append(want, string(reason))
	}
	definitions := readJSON(t, "schemas/types.v1.schema.json")["$defs"].(map[string]any)      //nolint:forcetypeassert // a test
	if diff := cmp.Diff(want, definitions[definition].(map[string]any)["enum"]); diff != "" { //nolint:forcetypeassert // a test
		t.Errorf("%s (-Go +schema):\n%s", definition, diff)
	}
}
