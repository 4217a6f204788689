package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderflow-project/orderflow/events"
)

// FuzzDecode holds the Go types and the schemas to each other on whatever comes.
// What is taken encodes to the same again, and obeys the schema; what is refused
// although it obeys the schema has something wrong that no schema can say.
func FuzzDecode(f *testing.F) {
	kinds := events.Catalog()
	schemas := make([]*jsonschema.Schema, len(kinds))
	for i, kind := range kinds {
		schemas[i] = compile(f, "schemas", kind.SchemaFile())
		example, err := os.ReadFile(examplePath(kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), example)
		for _, nasty := range []string{
			`null`, `[]`, `{}`, `{"order_id":null}`, strings.Repeat("[", 9000), strings.Repeat(`{"lines":`, 9000), "\xff\xfe", "\ufeff{}",
			`{"order_id":"a","number":"b","lines":[{"sku":"x","quantity":9223372036854775807,"unit_price":{"amount":9223372036854775807,"currency":"EUR"}}],"total":{"amount":1,"currency":"EUR"}}`,
			`{"order_id":"a","number":"b","lines":[{"sku":"x","quantity":1,"unit_price":{"amount":-5,"currency":"EUR"}}],"total":{"amount":-5,"currency":"EUR"}}`,
			`{"order_id":"a","number":"b","lines":[{"sku":"x","quantity":1,"unit_price":{"amount":5}}],"total":{"amount":5}}`,
			`{"order_id":"a","number":"b","lines":[{"sku":"x","quantity":1e0,"unit_price":{"amount":5.0,"currency":"EUR"}}],"total":{"amount":5,"currency":"EUR"}}`,
			`{"order_id":"a","number":"b","return_number":1,"reason":"x","lines":[{"sku":"x","quantity":1,"restocked":null}],"refund":{"amount":6,"currency":"EUR"},"total":{"amount":5,"currency":"EUR"}}`,
			`{"order_id":"a","number":"b","return_number":0,"reason":"x","lines":[],"refund":{"amount":1,"currency":"USD"},"total":{"amount":5,"currency":"EUR"}}`,
			`{"order_id":"a","order_id":"b","ORDER_ID":"c","number":"b","lines":[{"sku":"x","quantity":1,"unit_price":{"amount":5,"currency":"EUR"}}],"total":{"amount":5,"currency":"EUR"},"reason":"x"}`,
		} {
			f.Add(uint8(i), []byte(nasty))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		i := int(kind) % len(kinds)
		decoded, err := events.Decode(kinds[i].Type, data)
		if err != nil {
			wantReason(t, schemas[i], data, err)
			return
		}
		encoded, err := json.Marshal(decoded)
		if err != nil {
			t.Fatalf("%s was taken and can't be written: %v", data, err)
		}
		again, err := events.Decode(kinds[i].Type, encoded)
		if err != nil || !reflect.DeepEqual(decoded, again) {
			t.Errorf("%s was taken as %+v, and then as %+v, %v", data, decoded, again, err)
		}
		wantValid(t, schemas[i], encoded)
	})
}

// wantReason lets the Go types refuse only what the schema refuses, or what isn't
// in its power.
func wantReason(t *testing.T, schema *jsonschema.Schema, data []byte, refusal error) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil || schema.Validate(value) != nil {
		return
	}
	for _, beyond := range []string{
		"total: ", "refund: ", "empty or twice", "overflows", "different currencies", // sums and duplicates
		"cannot unmarshal number", // 1.0 is an integer to a schema, and so is one of a hundred digits
		"cannot unmarshal",        // a name in capitals is another field to a schema
		"invalid character",       // what stands after the value
		": missing",               // an empty text
	} {
		if strings.Contains(refusal.Error(), beyond) {
			return
		}
	}
	t.Errorf("%s obeys its schema, but: %v", data, refusal)
}

// wantValid holds what the Go types have taken against the schema. How an order's
// id and number are written, and which reasons there are, is for their sender to
// know: readers take them as they are.
func wantValid(t *testing.T, schema *jsonschema.Schema, encoded []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	object, _ := value.(map[string]any)
	object["order_id"], object["number"] = "019a0000-0000-7000-8000-000000000000", "OF-00000-00000"
	if object["return_number"] != nil {
		object["reason"] = string(events.ReturnNotWanted)
	} else if object["reason"] != nil {
		object["reason"] = string(events.ReasonOutOfStock)
	}
	if err := schema.Validate(object); err != nil {
		t.Errorf("%s was taken, but disobeys its schema: %v", encoded, err)
	}
}
