package events

import (
	"slices"
	"strconv"
	"strings"
)

// Entry describes one event: where it travels, who sends and who reads it.
type Entry struct {
	// Type is the CloudEvents type with its major version.
	Type string
	// Version is the major version, as in the type.
	Version int
	// Name says what happened; it is the Kafka topic, the KafkaSink, the last
	// part of the event's id, and the name of its schema and example.
	Name string
	// Repeats says that it may happen to an order several times, and moves it
	// nowhere. Each time has a name of its own: see NameOf.
	Repeats bool
	// Status is where the event leaves the order.
	Status Status
	// SentBy and ReadBy are names of functions.
	SentBy, ReadBy []string
}

// DataSchema is the id of the JSON Schema that the event's data obeys.
func (e Entry) DataSchema() string {
	return "https://orderflow.example/schemas/" + e.SchemaFile()
}

// SchemaFile is the file name of the JSON Schema in events/schemas.
func (e Entry) SchemaFile() string {
	return e.Name + ".v" + strconv.Itoa(e.Version) + ".schema.json"
}

// TopicDeadLetters is where events go that no function would take.
const TopicDeadLetters = "order-dead-letter"

// Catalog lists every event there is, in the order of an order's life.
func Catalog() []Entry {
	observers := []string{"customer-notification", "order-analytics"}
	return []Entry{
		{
			Type: TypeOrderPlaced, Version: 1, Name: "order-placed", Status: StatusPlaced,
			SentBy: []string{"storefront"},
			ReadBy: append([]string{"payment-verification"}, observers...),
		}, {
			Type: TypePaymentVerified, Version: 1, Name: "payment-verified", Status: StatusPaymentVerified,
			SentBy: []string{"payment-verification"},
			ReadBy: append([]string{"inventory-update"}, observers...),
		}, {
			Type: TypeInventoryUpdated, Version: 1, Name: "inventory-updated", Status: StatusInventoryUpdated,
			SentBy: []string{"inventory-update"},
			ReadBy: append([]string{"shipment-preparation"}, observers...),
		}, {
			Type: TypeOrderShipped, Version: 1, Name: "order-shipped", Status: StatusShipped,
			SentBy: []string{"shipment-preparation"},
			ReadBy: slices.Clone(observers),
		}, {
			Type: TypeOrderCancelled, Version: 1, Name: "order-cancelled", Status: StatusCancelled,
			SentBy: []string{"storefront", "payment-verification", "inventory-update", "shipment-preparation", "provider-webhooks", "backoffice"},
			ReadBy: append([]string{"order-cancellation"}, observers...),
		}, {
			Type: TypeOrderReturned, Version: 1, Name: "order-returned", Repeats: true, Status: StatusShipped,
			SentBy: []string{"backoffice"},
			ReadBy: append([]string{"order-cancellation"}, observers...),
		},
	}
}

// ByType finds the catalogue's entry for a CloudEvents type.
func ByType(eventType string) (Entry, bool) {
	return find(func(e Entry) bool { return e.Type == eventType })
}

// ByName finds the catalogue's entry for what happened, as "order-placed" or
// "order-returned/2".
func ByName(name string) (Entry, bool) {
	topic, time, numbered := strings.Cut(name, "/")
	if n, err := strconv.Atoi(time); numbered && (err != nil || n < 1 || strconv.Itoa(n) != time) {
		return Entry{}, false
	}
	return find(func(e Entry) bool { return e.Name == topic && (e.Repeats || !numbered) })
}

// NameOf is what has happened to the order, by which its history knows the event:
// the catalogue's name, and which time it is where it can be several. It is empty
// for data of no known type.
func NameOf(data Data) string {
	kind, known := ByType(data.Type())
	if returned, is := data.(OrderReturned); is && known {
		return kind.Name + "/" + strconv.Itoa(returned.ReturnNumber)
	}
	return kind.Name
}

// TopicOf is the topic and KafkaSink of what has happened, whichever time it is.
func TopicOf(name string) string {
	topic, _, _ := strings.Cut(name, "/")
	return topic
}

func find(match func(Entry) bool) (Entry, bool) {
	catalog := Catalog()
	i := slices.IndexFunc(catalog, match)
	if i < 0 {
		return Entry{}, false
	}
	return catalog[i], true
}
