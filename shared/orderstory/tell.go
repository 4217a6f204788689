package orderstory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderstory/internal/store"
)

// delivery is a function's handling of an event.
type delivery struct {
	by, cause string
}

// teller makes a story of a record.
type teller struct {
	record

	addresses deadletter.Addresses
	// happened is when each event happened, by name; handled when each delivery was
	// written down.
	happened map[string]time.Time
	handled  map[delivery]time.Time
	steps    []Step
	// back is how much returns have given back, in minor units.
	back int64
}

// tell tells what had been done at a moment, in the order of their times.
func (r record) tell(at time.Time, addresses deadletter.Addresses) (Story, error) {
	if at.IsZero() {
		at = r.order.Now
	}
	story := Story{
		ID: r.order.ID.String(), Number: r.order.Number, At: at.UTC(), Lines: []events.Line{},
		Total:   events.Money{Amount: r.order.TotalAmount, Currency: r.order.Currency},
		Resends: int(r.order.Resends), ResendAfter: r.order.ResendAfter,
	}
	if at.Before(r.order.PlacedAt) {
		return story, fmt.Errorf("tell of %s at %s: %w", r.order.Number, at.UTC().Format(time.RFC3339), ErrNotYet)
	}
	for _, line := range r.lines {
		price := events.Money{Amount: line.PriceAmount, Currency: r.order.Currency}
		story.Lines = append(story.Lines, events.Line{SKU: line.Sku, Quantity: int(line.Quantity), UnitPrice: price})
	}
	t := teller{record: r, addresses: addresses, happened: map[string]time.Time{}, handled: map[delivery]time.Time{}}
	t.history()
	t.asked(at)
	t.payment()
	t.goods()
	t.mail()
	t.evidence()
	t.trouble()
	story.Steps = t.until(at)
	for _, step := range story.Steps {
		if step.Effect {
			story.Effects++
		}
		if step.Effect && step.Unexplained == "" {
			story.Explained++
		}
	}
	story.State = t.fold(at, story.Steps)
	return story, nil
}

// until sorts the steps, none before its cause, and leaves out what came later.
func (t *teller) until(at time.Time) []Step {
	for i := range t.steps {
		step := &t.steps[i]
		if caused := t.happened[step.Cause]; step.At.Before(caused) {
			step.At = caused
		}
		step.At = step.At.UTC()
	}
	slices.SortStableFunc(t.steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return slices.DeleteFunc(t.steps, func(step Step) bool { return step.At.After(at) })
}

func (t *teller) add(step Step) { t.steps = append(t.steps, step) }

// effect adds what a function did because of an event.
func (t *teller) effect(step Step) {
	step.Effect = true
	if step.Unexplained == "" {
		step.Unexplained = t.objection(delivery{step.By, step.Cause})
	}
	t.add(step)
}

// objection says why a delivery is no cause, or "".
func (t *teller) objection(d delivery) string {
	kind, known := events.ByName(d.cause)
	_, happened := t.happened[d.cause]
	switch {
	case !known || !happened:
		return "no such event has happened to the order"
	case !slices.Contains(kind.ReadBy, d.by):
		return "the function doesn't read this event"
	default:
		return ""
	}
}

// together is an effect that is written down with the record that its function has
// handled the event: at the same time, and never without.
func (t *teller) together(step Step) {
	at, handled := t.handled[delivery{step.By, step.Cause}]
	if handled {
		step.At = at
	} else {
		step.At, step.Unexplained = t.order.PlacedAt, "the function hasn't handled this event"
	}
	t.effect(step)
}

// who is a function, or the person behind what has no cause.
func (t *teller) who(row store.ListEventsRow) string {
	switch {
	case row.Cause != "":
		return row.Source
	case row.Source == "storefront":
		return "the customer"
	case row.Source == "provider-webhooks":
		return row.Source // because of what a provider has told
	}
	if deed, signed := t.deed(row.Name); signed {
		return "operator " + deed.Actor
	}
	return "an operator" // at the back office, where else nobody does anything by hand
}

// deed is what an operator did that led to an event.
func (t *teller) deed(event string) (store.ListDeedsRow, bool) {
	i := slices.IndexFunc(t.deeds, func(row store.ListDeedsRow) bool { return row.Event == event })
	if i < 0 {
		return store.ListDeedsRow{}, false
	}
	return t.deeds[i], true
}

// because is what an operator had to say about what was done.
func (t *teller) because(event string) string {
	deed, _ := t.deed(event)
	text := ""
	if deed.Reference != "" {
		text += ", as " + deed.Reference
	}
	if deed.Reason != "" {
		text += " (" + deed.Reason + ")"
	}
	return text
}

// history tells the events, and what was handled and led to nothing.
func (t *teller) history() {
	for _, row := range t.events {
		step := Step{At: row.OccurredAt, By: t.who(row), Cause: row.Cause, Unexplained: t.origin(row)}
		step.Effect = row.Cause != "" || step.Unexplained != ""
		if row.Cause != "" {
			t.handled[delivery{row.Source, row.Cause}] = row.OccurredAt
		}
		if row.Type == "" {
			step.Kind, step.Text = KindHandled, "handled "+row.Cause+silence(row)
		} else {
			t.happened[row.Name] = row.OccurredAt
			step.Kind, step.Text = KindEvent, row.Name+said(row)+t.because(row.Name)+published(row)
			if kind, known := events.ByName(row.Name); known && !kind.Repeats {
				step.aspect, step.value = aspectStatus, string(kind.Status)
			}
		}
		t.add(step)
	}
}

// ofTheirOwn are the functions that do something without an event: for a person, or
// because of what a provider has told.
var ofTheirOwn = []string{"storefront", "backoffice", "provider-webhooks"}

// origin says what is wrong with where a row comes from, or "". It looks at what
// was told so far: a cause comes first.
func (t *teller) origin(row store.ListEventsRow) string {
	if row.Cause == "" && !slices.Contains(ofTheirOwn, row.Source) {
		return "a function does nothing of its own accord"
	}
	if row.Cause != "" {
		if wrong := t.objection(delivery{row.Source, row.Cause}); wrong != "" {
			return wrong
		}
	}
	if kind, known := events.ByName(row.Name); row.Type != "" && known && !slices.Contains(kind.SentBy, row.Source) {
		return "the function doesn't send this event"
	}
	return ""
}

// silence says why nothing followed.
func silence(row store.ListEventsRow) string {
	switch row.Source {
	case "order-analytics", notification, cancellation:
		return "" // what they do is no event
	default:
		return ": the order had moved on"
	}
}

// said is what else an event tells, of what isn't the order's own.
func said(row store.ListEventsRow) string {
	data, err := events.Decode(row.Type, row.Data)
	if err != nil {
		return ""
	}
	switch told := data.(type) {
	case events.OrderCancelled:
		return ": " + string(told.Reason)
	case events.OrderReturned:
		return ": " + string(told.Reason) + cameBack(told) + ", " + told.Refund.String() + " to be refunded"
	default:
		return ""
	}
}

func cameBack(told events.OrderReturned) string {
	var text strings.Builder
	for _, line := range told.Lines {
		fmt.Fprintf(&text, ", %d %s", line.Quantity, line.SKU)
		if !line.Restocked {
			text.WriteString(" not for sale")
		}
	}
	return text.String()
}

func published(row store.ListEventsRow) string {
	if row.PublishedAt == nil {
		return ", not known to be accepted by its sink"
	}
	return ""
}
