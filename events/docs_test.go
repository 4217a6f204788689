package events_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/orderflow-project/orderflow/events"
)

var update = flag.Bool("update", false, "write the generated tables into README.md")

func TestDocumentedTables(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	after := replaceBlock(t, string(before), "catalogue", catalogueTable())
	after = replaceBlock(t, after, "transitions", transitionsTable())
	if *update {
		if err := os.WriteFile("README.md", []byte(after), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(before), after); diff != "" {
		t.Errorf("README.md is behind the catalogue; run `make generate` (-file +catalogue):\n%s", diff)
	}
}

func replaceBlock(t *testing.T, text, name, content string) string {
	t.Helper()
	block := regexp.MustCompile(`(?s)<!-- generated: ` + name + ` -->.*?<!-- end -->`)
	if !block.MatchString(text) {
		t.Fatalf("README.md has no block %q", name)
	}
	return block.ReplaceAllLiteralString(text, "<!-- generated: "+name+" -->\n"+content+"<!-- end -->")
}

func catalogueTable() string {
	var table strings.Builder
	table.WriteString("| topic and sink | type | version | leaves the order | sent by | read by |\n|---|---|---|---|---|---|\n")
	for _, e := range events.Catalog() {
		fmt.Fprintf(&table, "| [`%s`](schemas/%s) | `%s` | %d | `%s` | %s | %s |\n", e.Name, e.SchemaFile(), e.Type, e.Version,
			e.Status, strings.Join(e.SentBy, ", "), strings.Join(e.ReadBy, ", "))
	}
	return table.String()
}

func transitionsTable() string {
	var table strings.Builder
	table.WriteString("| from | to |\n|---|---|\n")
	for _, status := range events.Statuses() {
		var next []string
		for _, to := range events.Transitions()[status] {
			next = append(next, "`"+string(to)+"`")
		}
		if len(next) == 0 {
			next = []string{"nowhere: it is final"}
		}
		fmt.Fprintf(&table, "| `%s` | %s |\n", status, strings.Join(next, ", "))
	}
	return table.String()
}

// TestAsyncAPI holds the document equal to the catalogue.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Channels map[string]struct {
			Address  string
			Messages map[string]any
		}
		Operations map[string]struct{ Channel map[string]string }
		Components struct {
			Messages map[string]struct {
				Name    string
				Payload map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	topics := []string{events.TopicDeadLetters}
	for _, e := range events.Catalog() {
		topics = append(topics, e.Name)
		message := document.Components.Messages[e.Name]
		if message.Name != e.Type || message.Payload["$ref"] != "schemas/"+e.SchemaFile() {
			t.Errorf("message %s is %q with %q, want %q with its schema", e.Name, message.Name, message.Payload["$ref"], e.Type)
		}
		if got := document.Operations["send-"+e.Name].Channel["$ref"]; got != "#/channels/"+e.Name {
			t.Errorf("operation send-%s is on channel %q", e.Name, got)
		}
	}
	var channels []string
	for name, channel := range document.Channels {
		if channel.Address != name || len(channel.Messages) != 1 {
			t.Errorf("channel %s: address %q, %d messages", name, channel.Address, len(channel.Messages))
		}
		channels = append(channels, name)
	}
	slices.Sort(topics)
	slices.Sort(channels)
	if diff := cmp.Diff(topics, channels); diff != "" {
		t.Errorf("channels (-catalogue +document):\n%s", diff)
	}
	if got, want := len(document.Operations), len(events.Catalog()); got != want {
		t.Errorf("%d operations, want %d", got, want)
	}
}
