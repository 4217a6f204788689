package deadletter

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// marks is how the extensions begin that KafkaSource adds on the way: where the
// event stood, and why nobody took it.
const marks = "knative"

// kept is a letter with its event, as far as that could be read.
type kept struct {
	Letter

	event event.Event
	kind  events.Entry
	order uuid.UUID
	// recorded is what the order's history says that happened.
	recorded []byte
	// edit is what is sent instead of the event's own data; nil for none.
	edit []byte
}

func (d *Desk) read(row store.ListLettersRow) kept {
	one := kept{Letter: Letter{
		ID: row.ID, State: State(row.State), Times: int(row.Times), FirstAt: row.FirstAt.UTC(), LastAt: row.LastAt.UTC(),
		EventID: row.EventID, Source: row.EventSource, Type: row.EventType,
		Function: d.addresses.Function(row.ErrorDest), Code: row.ErrorCode, Error: strings.TrimSpace(row.ErrorData),
		Prospect: Prospect{Handled: []string{}, Waiting: []string{}},
	}}
	one.Refusal = one.open(row)
	return one
}

// open reads the event, and says why it can't be sent, or "".
func (k *kept) open(row store.ListLettersRow) string {
	if err := json.Unmarshal(row.Event, &k.event); err != nil {
		k.event = event.Event{}
		return "what came is no CloudEvent"
	}
	if err := k.event.Validate(); err != nil {
		return "what came is no valid CloudEvent"
	}
	for name := range k.event.Extensions() {
		if strings.HasPrefix(name, marks) {
			k.event.SetExtension(name, nil)
		}
	}
	var known bool
	if k.kind, known = events.ByType(k.event.Type()); !known {
		return fmt.Sprintf("no topic has events of type %q", k.event.Type())
	}
	k.Topic, k.Happened = k.kind.Name, k.happening()
	return k.address(row.Subject)
}

// address finds the order that the event is about.
func (k *kept) address(subject string) string {
	var err error
	if k.order, err = uuid.Parse(k.about(subject)); err != nil {
		return "it doesn't say which order it is about"
	}
	k.OrderID = k.order.String()
	// One that was sent by hand may have none, and has to go where its order does.
	if k.event.Extensions()[orderlog.ExtensionPartitionKey] == nil {
		k.event.SetExtension(orderlog.ExtensionPartitionKey, k.OrderID)
	}
	return ""
}

// happening is what the event says that happened. Where its data aren't those of its
// type, and may be replaced by others, its id tells.
func (k *kept) happening() string {
	if data, err := events.Decode(k.kind.Type, k.event.Data()); err == nil {
		return events.NameOf(data)
	}
	_, name, _ := strings.Cut(k.event.ID(), "/")
	if kind, known := events.ByName(name); known && kind.Type == k.kind.Type {
		return name
	}
	return k.kind.Name
}

// about is what the event calls its order. Data that aren't those of its type may
// still tell, and be replaced by others.
func (k *kept) about(subject string) string {
	if data, err := events.Decode(k.kind.Type, k.event.Data()); err == nil {
		return data.Order()
	}
	var data struct {
		OrderID string `json:"order_id"`
	}
	if err := json.Unmarshal(k.event.Data(), &data); err == nil && data.OrderID != "" {
		return data.OrderID
	}
	if subject != "" {
		return subject
	}
	order, _, _ := strings.Cut(k.event.ID(), "/")
	return order
}

// data is what would be sent.
func (k *kept) data() []byte {
	if k.edit != nil {
		return k.edit
	}
	return k.event.Data()
}

// outgoing is the event to be sent.
func (k *kept) outgoing() (event.Event, error) {
	out := k.event.Clone()
	if k.edit == nil {
		return out, nil
	}
	if err := out.SetData(event.ApplicationJSON, json.RawMessage(k.edit)); err != nil {
		return out, fmt.Errorf("edit event: %w", err)
	}
	return out, nil
}
