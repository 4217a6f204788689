package deadletter

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

// FuzzLetter reads anything as a letter. What may be sent again is a valid event of
// the topic it goes to, without the marks of its way; what is shown of it is one line
// with no e-mail address in it and nothing that moves a terminal.
func FuzzLetter(f *testing.F) {
	const order = "019a0000-0000-7000-8000-000000000000"
	event := func(more string) string {
		return `{"specversion":"1.0","id":"` + order + `/order-placed","source":"/orderflow/storefront","type":"` + events.TypeOrderPlaced + `","datacontenttype":"application/json",` + more + `"subject":"` + order + `"}`
	}
	for _, text := range []string{
		"", "null", "{}", "\xff", strings.Repeat("[", 9000), event(""), event(`"data":null,`), event(`"data":{"order_id":"` + order + `"},`), event(`"data_base64":"AA==",`), event(`"data_base64":"!",`),
		event(`"data":{"name":"Ada","email":"ada@example.com","order_id":5},`), event(`"data":"ada@example.com",`), event(`"data":{"ada@example.com":"x","sku":"ada@example.com","lines":[["ada@example.com"]]},`),
		event(`"knativeerrordest":"http://x","knativeerrorcode":"422","partitionkey":7,`), event(`"time":"never",`), event(`"data":{"reason":"\u001b[31m"},`), event(`"data":{"order_id":"\u202e"},`),
		strings.Replace(event(""), "1.0", "0.3", 1), strings.Replace(event(""), events.TypeOrderPlaced, "orderflow.order.placed.v99", 1), event(`"data":1e400,`),
	} {
		f.Add([]byte(text), order, []byte(`{"order_id":"x"}`))
	}
	address := regexp.MustCompile(`[\w.]+@[\w.]+`)
	f.Fuzz(func(t *testing.T, text []byte, subject string, recorded []byte) {
		var one kept
		if one.Refusal = one.open(store.ListLettersRow{Event: text, Subject: subject}); one.Refusal == "" {
			wantSendable(t, &one, text)
		}
		told := Printable(shown(events.TypeOrderPlaced, text, recorded))
		if address.MatchString(told) {
			t.Errorf("of %q is shown %q", text, told)
		}
		if !utf8.ValidString(told) || strings.ContainsFunc(told, unicode.IsControl) {
			t.Errorf("%q is no line: %q", text, told)
		}
	})
}

func wantSendable(t *testing.T, one *kept, text []byte) {
	t.Helper()
	for _, edit := range [][]byte{nil, []byte(`{"a":1}`)} {
		one.edit = edit
		out, err := one.outgoing()
		if err != nil {
			t.Fatalf("%q can't be sent: %v", text, err)
		}
		if err := out.Validate(); err != nil || one.Topic == "" || one.OrderID == "" {
			t.Errorf("%q is sent to %q as %s: %v", text, one.Topic, out, err)
		}
		for name := range out.Extensions() {
			if strings.HasPrefix(name, marks) {
				t.Errorf("%q is sent with its mark %s", text, name)
			}
		}
		if edit != nil && !json.Valid(out.Data()) {
			t.Errorf("%q is sent with %q", text, out.Data())
		}
	}
}
