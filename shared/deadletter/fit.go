package deadletter

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/orderflow-project/orderflow/events"
)

// shown is what an event says, as far as it is fit to be shown. Events carry no
// personal data, but whoever can reach a sink can send anything. So what the
// order's history says is shown as it is; of all else, values of fields that
// events have and that look like numbers of something, and of other values what
// they are. What isn't JSON is told by its length only.
//
// The event itself stays in the table dead_letters, whole.
func shown(eventType string, data, recorded []byte) string {
	told, err := events.Decode(eventType, data)
	if known, unknown := events.Decode(eventType, recorded); err == nil && unknown == nil && reflect.DeepEqual(told, known) {
		if whole, err := json.Marshal(told); err == nil {
			return string(whole) + strange(whole, data)
		}
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return fmt.Sprintf("%d bytes that are no JSON", len(data))
	}
	text, err := json.Marshal(fit("", value))
	if err != nil {
		return fmt.Sprintf("%d bytes", len(data)) // can't be: it was JSON
	}
	return string(text)
}

// strange says how many fields were left out since no event of the type has them.
func strange(known, data []byte) string {
	var has, all map[string]json.RawMessage
	if json.Unmarshal(known, &has) != nil || json.Unmarshal(data, &all) != nil {
		return ""
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { _, is := has[name]; return is })
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d fields that it doesn't have", len(all))
}

// What is shown of an event that the history doesn't have: the fields whose values
// count or identify things, those that hold such fields, and what the values look like.
var (
	plainFields = []string{
		"order_id", "number", "sku", "currency", "payment_id", "tracking_number", "reason",
		"quantity", "amount", "wanted", "available", "return_number", "restocked",
	}
	plainFolders = []string{"lines", "short", "total", "unit_price", "refund"}
	plainText    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

func fit(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		return fitFields(v)
	case []any:
		items := make([]any, 0, len(v))
		for _, item := range v {
			items = append(items, fit(name, item))
		}
		return items
	case string:
		if slices.Contains(plainFields, name) && plainText.MatchString(v) {
			return v
		}
		return fmt.Sprintf("(%d characters)", len([]rune(v)))
	case float64:
		if slices.Contains(plainFields, name) {
			return v
		}
		return "(a number)"
	default:
		return value
	}
}

func fitFields(all map[string]any) map[string]any {
	fields := map[string]any{}
	for name, value := range all {
		if slices.Contains(plainFields, name) || slices.Contains(plainFolders, name) {
			fields[name] = fit(name, value)
		} else {
			fields["…"] = "fields that no event has"
		}
	}
	return fields
}

// Printable makes a text of somebody else's fit for a terminal: nothing in it
// moves the cursor, changes colours or begins a line.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			return '\uFFFD'
		default:
			return r
		}
	}, text)
}
