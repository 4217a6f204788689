package stage

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// MaxEvent is the largest request that is read, in bytes: what Kafka takes by
// default as one record.
const MaxEvent = 1 << 20

// Receive reads the CloudEvent of a request, in binary or structured mode. Its
// errors are refusals with the status that says why: 405, 413, 415 or 400.
func Receive(w http.ResponseWriter, r *http.Request) (event.Event, error) {
	if r.Method != http.MethodPost {
		return event.Event{}, refuse(http.StatusMethodNotAllowed, errors.New("events are sent by POST"))
	}
	if !isCloudEvent(r) {
		return event.Event{}, refuse(http.StatusUnsupportedMediaType, errors.New("not a CloudEvent"))
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxEvent)
	received, err := ReadEvent(r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return event.Event{}, refuse(http.StatusRequestEntityTooLarge, fmt.Errorf("event is larger than %d bytes", MaxEvent))
	case err != nil:
		return event.Event{}, refuse(http.StatusBadRequest, fmt.Errorf("read event: %w", err))
	}
	if err := received.Validate(); err != nil {
		return event.Event{}, refuse(http.StatusBadRequest, fmt.Errorf("read event: %w", err))
	}
	return *received, nil
}

// ReadEvent reads the CloudEvent of a request, which may not be a valid one. It is
// the SDK's, but for a header without the name of an attribute: that makes the SDK
// panic, and would have the sender try again for a connection that was lost.
func ReadEvent(r *http.Request) (*event.Event, error) {
	if _, nameless := r.Header["Ce-"]; nameless {
		return nil, errors.New(`a header is called "Ce-", without an attribute's name`)
	}
	return cloudevents.NewEventFromHTTPRequest(r)
}

// isCloudEvent looks before the SDK does, whose error doesn't tell a request
// that is no CloudEvent from one that is a broken one.
func isCloudEvent(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(media, event.ApplicationCloudEventsJSON) {
		return true
	}
	return r.Header.Get("Ce-Specversion") != ""
}

// delivery is one event on its way through the frame.
type delivery struct {
	in    input
	rule  Rule
	entry events.Entry // of the event that came
	name  string       // by which the order's history knows it
}

// read makes a delivery of an event, for the rule that accepts its type.
func (h *Handler) read(received event.Event) (delivery, error) {
	rule, ok := h.rules[received.Type()]
	if !ok {
		return delivery{}, Reject(fmt.Errorf("%s does not take events of type %q", h.name, received.Type()))
	}
	data, err := events.Decode(received.Type(), received.Data())
	if err != nil {
		return delivery{}, refuse(http.StatusBadRequest, err)
	}
	kind, known := events.ByType(received.Type())
	if !known {
		return delivery{}, Reject(fmt.Errorf("%w: %q", events.ErrUnknownType, received.Type()))
	}
	order, err := uuid.Parse(data.Order())
	if err != nil {
		return delivery{}, refuse(http.StatusBadRequest, fmt.Errorf("order_id: %w", err))
	}
	if order.String() != data.Order() {
		return delivery{}, refuse(http.StatusBadRequest, fmt.Errorf("order_id: %q is not how a UUID is written", data.Order()))
	}
	if subject := received.Subject(); subject != "" && subject != data.Order() {
		return delivery{}, refuse(http.StatusBadRequest, fmt.Errorf("subject %q is not the order %s", subject, order))
	}
	name := events.NameOf(data)
	return delivery{rule: rule, entry: kind, name: name, in: input{
		// Not the id that came: whoever sends an event of ours by hand, as with
		// func invoke, gives it another one, and it is the same event still.
		ID:      orderlog.EventID(order.String(), name),
		OrderID: order, Data: data,
	}}, nil
}
