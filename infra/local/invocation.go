package local

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/pingsource"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// Invocation is how a function is called by hand. Without an event it is called
// by people, with a GET.
type Invocation struct {
	// Example is the event of events/examples, as "order-placed"; empty where
	// the function takes none of them.
	Example string
	Event   *event.Event
}

// answersEvents tells whether the function is a stage, whose next event is its
// answer where it has no sink.
func (i Invocation) answersEvents() bool { return i.Example != "" }

// FuncArgs are the arguments of the func CLI that make the call. func invoke
// can give no subject and no extension, and our functions need none.
func (i Invocation) FuncArgs() []string {
	if i.Event == nil {
		return []string{"invoke", "--target=local", "--format=http", "--request-type=GET"}
	}
	return []string{
		"invoke", "--target=local", "--format=cloudevent", "--content-type=application/json",
		"--id=" + i.Event.ID(), "--source=" + i.Event.Source(), "--type=" + i.Event.Type(), "--data=" + string(i.Event.Data()),
	}
}

// NewInvocation finds how a function is called, from the manifests: by the named
// event, or if that is empty by the first in an order's life that it reads.
func NewInvocation(root, function, name string) (Invocation, error) {
	set, err := manifest.Load(filepath.Join(root, ManifestDir))
	if err != nil {
		return Invocation{}, err
	}
	topics := topicsOf(set, function)
	if name != "" && !slices.Contains(topics, name) {
		return Invocation{}, fmt.Errorf("%s does not read %s, but: %s", function, name, strings.Join(topics, ", "))
	}
	for _, kind := range events.Catalog() {
		if slices.Contains(topics, kind.Name) && (name == "" || name == kind.Name) {
			example, err := Example(root, kind.Name)
			return Invocation{Example: kind.Name, Event: &example}, err
		}
	}
	if slices.Contains(topics, events.TopicDeadLetters) {
		// Whatever comes is a dead letter there.
		example, err := Example(root, events.Catalog()[0].Name)
		return Invocation{Event: &example}, err
	}
	return pinged(set, function)
}

// topicsOf are the topics that the function is called for.
func topicsOf(set *manifest.Set, function string) []string {
	var topics []string
	for _, source := range set.KafkaSources {
		if source.Spec.Sink.Ref.Name == function {
			topics = append(topics, source.Spec.Topics...)
		}
	}
	return topics
}

// pinged is how a PingSource calls the function. Where there is none, people do.
func pinged(set *manifest.Set, function string) (Invocation, error) {
	i := slices.IndexFunc(set.PingSources, func(p manifest.PingSource) bool { return p.Spec.Sink.Ref.Name == function })
	if i < 0 {
		return Invocation{}, nil
	}
	ping, made := set.PingSources[i], event.New()
	made.SetID(uuid.NewString())
	made.SetType(pingsource.EventType)
	made.SetSource(pingsource.EventSource(ping.Metadata.Namespace, ping.Metadata.Name))
	if err := made.SetData(ping.Spec.ContentType, []byte(ping.Spec.Data)); err != nil {
		return Invocation{}, fmt.Errorf("make ping: %w", err)
	}
	return Invocation{Event: &made}, nil
}

// Example is an event of events/examples with the attributes that its sender
// gives it.
func Example(root, name string) (event.Event, error) {
	data, err := exampleData(root, name)
	if err != nil {
		return event.Event{}, err
	}
	order, err := uuid.Parse(data.Order())
	if err != nil {
		return event.Event{}, fmt.Errorf("example %s: %w", name, err)
	}
	kind, _ := events.ByName(name)
	return orderlog.Entry{
		OrderID: order, Name: events.NameOf(data), Source: kind.SentBy[0], Data: data, OccurredAt: time.Now(),
	}.CloudEvent()
}

func exampleData(root, name string) (events.Data, error) {
	kind, known := events.ByName(name)
	if !known {
		return nil, fmt.Errorf("no event is called %q", name)
	}
	content, err := os.ReadFile(filepath.Join(root, "events", "examples", name+".json"))
	if err != nil {
		return nil, fmt.Errorf("read example: %w", err)
	}
	return events.Decode(kind.Type, content)
}
