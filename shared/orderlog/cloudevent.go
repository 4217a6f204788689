package orderlog

import (
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderflow-project/orderflow/events"
)

// The extensions that every event of ours carries.
const (
	// ExtensionPartitionKey makes the order id the key of the Kafka record.
	ExtensionPartitionKey = "partitionkey"
	// ExtensionCausationID is the id of the event that led to this one.
	ExtensionCausationID = "causationid"
	// ExtensionTraceParent continues the trace, as W3C's header of that name.
	ExtensionTraceParent = "traceparent"
)

// sourcePrefix makes a CloudEvents source, a URI reference, of a function's name.
const sourcePrefix = "/orderflow/"

// EventID is the id of what happened to an order. It is made from nothing
// else, so that an event sent twice is the same event.
func EventID(orderID, name string) string {
	return orderID + "/" + name
}

// CloudEvent is the event that the entry tells, as it travels.
func (e Entry) CloudEvent() (event.Event, error) {
	if e.Data == nil {
		return event.Event{}, errors.New("encode event: the entry tells of none")
	}
	kind, known := events.ByType(e.Data.Type())
	if !known {
		return event.Event{}, fmt.Errorf("encode event: %w: %q", events.ErrUnknownType, e.Data.Type())
	}
	order := e.OrderID.String()
	out := event.New()
	out.SetID(EventID(order, e.Name))
	out.SetType(kind.Type)
	out.SetSource(sourcePrefix + e.Source)
	out.SetSubject(order)
	out.SetTime(e.OccurredAt.UTC())
	out.SetDataSchema(kind.DataSchema())
	out.SetExtension(ExtensionPartitionKey, order)
	if e.Cause != "" {
		out.SetExtension(ExtensionCausationID, EventID(order, e.Cause))
	}
	if e.TraceParent != "" {
		out.SetExtension(ExtensionTraceParent, e.TraceParent)
	}
	if err := out.SetData(event.ApplicationJSON, e.Data); err != nil {
		return event.Event{}, fmt.Errorf("encode event: %w", err)
	}
	return out, nil
}
