package deadletter

import (
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/events"
)

func TestShown(t *testing.T) {
	t.Parallel()
	const valid = `{"order_id":"0193","number":"OF-1","lines":[{"sku":"A","quantity":1,"unit_price":{"amount":1,"currency":"EUR"}}],"total":{"amount":1,"currency":"EUR"}}`
	more := strings.Replace(valid, `{`, `{"name":"Ada Lovelace","email":"ada@example.com",`, 1)
	for name, test := range map[string]struct{ data, recorded, want string }{
		"as recorded":  {valid, valid, valid},
		"and more":     {more, valid, valid + " and 2 fields that it doesn't have"},
		"not recorded": {more, "", `{"lines":[{"quantity":1,"sku":"A","unit_price":{"amount":1,"currency":"EUR"}}],"number":"OF-1","order_id":"0193","total":{"amount":1,"currency":"EUR"},"…":"fields that no event has"}`},
		"says so":      {strings.Replace(valid, "OF-1", "for Ada", 1), valid, `{"lines":[{"quantity":1,"sku":"A","unit_price":{"amount":1,"currency":"EUR"}}],"number":"(7 characters)","order_id":"0193","total":{"amount":1,"currency":"EUR"}}`},
		"anything":     {`[{"reason":"Ada Lovelace","sku":"a@b","amount":1.5,"street":1,"total":"x","quantity":null}]`, valid, `[{"amount":1.5,"quantity":null,"reason":"(12 characters)","sku":"(3 characters)","total":"(1 characters)","…":"fields that no event has"}]`},
		"text":         {`"Ada"`, valid, `"(3 characters)"`},
		"a number":     {`491234567`, valid, `"(a number)"`},
		"no JSON":      {`Ada, London`, valid, `11 bytes that are no JSON`},
		"nothing":      {``, valid, `0 bytes that are no JSON`},
	} {
		if got := shown(events.TypeOrderPlaced, []byte(test.data), []byte(test.recorded)); got != test.want {
			t.Errorf("%s: shown() = %s, want %s", name, got, test.want)
		}
	}
}

// Nobody's words do anything to a terminal.
func TestPrintable(t *testing.T) {
	t.Parallel()
	if got := Printable("a\x1b[2Jb\nc\u202ed\u009be"); got != "a\uFFFD[2Jb c\uFFFDd\uFFFDe" {
		t.Errorf("Printable() = %q", got)
	}
}
