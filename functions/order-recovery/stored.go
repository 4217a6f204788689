package function

import (
	"fmt"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-recovery/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// stored is an event's data as it stands in the history. It is handed on
// without being understood: reading it would lose what a newer version of its
// sender has added.
type stored struct {
	eventType, order string
	data             []byte
}

// Type implements events.Data.
func (s stored) Type() string { return s.eventType }

// Order implements events.Data.
func (s stored) Order() string { return s.order }

// Validate implements events.Data. Who wrote it into the history has done so.
func (s stored) Validate() error { return nil }

// MarshalJSON implements json.Marshaler.
func (s stored) MarshalJSON() ([]byte, error) { return s.data, nil }

var _ events.Data = stored{}

func entryOf(row store.ListPendingRow) orderlog.Entry {
	return orderlog.Entry{
		OrderID: row.OrderID, Name: row.Name, Source: row.Source, Cause: row.Cause, TraceParent: row.Traceparent,
		Data:       stored{eventType: row.Type, order: row.OrderID.String(), data: row.Data},
		OccurredAt: row.OccurredAt,
	}
}

// addLetter makes a dead letter of an event, as the intake would if Kafka had
// brought it.
func (b *batch) addLetter(order Order, row store.ListPendingRow) {
	id, subject := orderlog.EventID(row.OrderID.String(), row.Name), row.OrderID.String()
	source, body := "/orderflow/"+row.Source, row.Data
	if made, err := entryOf(row).CloudEvent(); err == nil {
		source = made.Source()
		if structured, err := made.MarshalJSON(); err == nil {
			body = structured
		}
	}
	b.letters.EventIds = append(b.letters.EventIds, id)
	b.letters.EventSources = append(b.letters.EventSources, source)
	b.letters.EventTypes = append(b.letters.EventTypes, row.Type)
	b.letters.Subjects = append(b.letters.Subjects, subject)
	b.letters.ErrorDests = append(b.letters.ErrorDests, "order-recovery")
	b.letters.ErrorDatas = append(b.letters.ErrorDatas,
		fmt.Sprintf("tried %d times, %s", order.Resends, cause(order, pendingOf(row))))
	b.letters.Events = append(b.letters.Events, body)
}
