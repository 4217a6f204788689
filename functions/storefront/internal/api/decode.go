package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// decode reads a request for an order. It names every field that is of a wrong
// type or unknown, with its place; encoding/json alone would stop at the first,
// and wouldn't tell in which line it stands.
func decode(body []byte) (checkout.Request, error) {
	value, err := parse(body)
	if err != nil {
		return checkout.Request{}, err
	}
	d := &decoder{}
	request := d.request(value)
	if len(d.problems) == 0 {
		return request, nil
	}
	return checkout.Request{}, &checkout.InvalidError{Problems: d.complete(checkout.Validate(request))}
}

func parse(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, problem.Malformed("The body isn’t UTF-8.")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, problem.Malformed("The body isn’t JSON.")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, problem.Malformed("The body has something after the JSON.")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, problem.Malformed("The body isn’t a JSON object.")
	}
	return object, nil
}

// decoder gathers what is wrong while it reads.
type decoder struct {
	problems []checkout.Problem
}

func (d *decoder) add(at, detail string) {
	d.problems = append(d.problems, checkout.Problem{Pointer: at, Detail: detail})
}

// complete adds what else is wrong, except with fields that couldn't be read.
func (d *decoder) complete(others []checkout.Problem) []checkout.Problem {
	unread := slices.Clone(d.problems)
	for _, other := range others {
		within := func(p checkout.Problem) bool {
			return other.Pointer == p.Pointer || strings.HasPrefix(other.Pointer, p.Pointer+"/")
		}
		if !slices.ContainsFunc(unread, within) {
			d.problems = append(d.problems, other)
		}
	}
	return d.problems
}

func (d *decoder) request(value map[string]any) checkout.Request {
	d.known("", value, "customer", "shipping_address", "lines", "payment_method", "expected_total")
	customer := d.object("/customer", value["customer"], "name", "email")
	address := d.object("/shipping_address", value["shipping_address"],
		"line1", "line2", "city", "postal_code", "country")
	return checkout.Request{
		Customer: checkout.Customer{
			Name:  d.text("/customer/name", customer["name"]),
			Email: d.text("/customer/email", customer["email"]),
		},
		ShippingAddress: checkout.Address{
			Line1:      d.text("/shipping_address/line1", address["line1"]),
			Line2:      d.text("/shipping_address/line2", address["line2"]),
			City:       d.text("/shipping_address/city", address["city"]),
			PostalCode: d.text("/shipping_address/postal_code", address["postal_code"]),
			Country:    d.text("/shipping_address/country", address["country"]),
		},
		Lines:         d.lines("/lines", value["lines"]),
		PaymentMethod: d.text("/payment_method", value["payment_method"]),
		ExpectedTotal: d.money("/expected_total", value["expected_total"]),
	}
}

// money reads an amount; nil where there is none.
func (d *decoder) money(at string, value any) *events.Money {
	if value == nil {
		return nil
	}
	object := d.object(at, value, "amount", "currency")
	text, _ := object["amount"].(json.Number)
	amount, err := strconv.ParseInt(text.String(), 10, 64)
	if err != nil || amount < 0 {
		d.add(at+"/amount", "must be a whole number of minor units")
	}
	return &events.Money{Amount: amount, Currency: d.text(at+"/currency", object["currency"])}
}

func (d *decoder) lines(at string, value any) []checkout.Line {
	values, ok := value.([]any)
	if !ok && value != nil {
		d.add(at, "must be an array")
	}
	if len(values) > checkout.MaxLines {
		return make([]checkout.Line, len(values)) // too many to be worth a look
	}
	lines := make([]checkout.Line, 0, len(values))
	for i, one := range values {
		at := at + "/" + strconv.Itoa(i)
		line := d.object(at, one, "sku", "quantity")
		lines = append(lines, checkout.Line{
			SKU: d.text(at+"/sku", line["sku"]), Quantity: d.number(at+"/quantity", line["quantity"]),
		})
	}
	return lines
}

// object reads an object. One that is missing is empty; what is missing in it
// is said for each field.
func (d *decoder) object(at string, value any, fields ...string) map[string]any {
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		d.add(at, "must be an object")
	}
	d.known(at, object, fields...)
	return object
}

// known refuses other fields: a misspelt one would otherwise be ignored.
func (d *decoder) known(at string, object map[string]any, fields ...string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(fields, name) {
			d.add(at+"/"+escape(name), "is not known")
		}
	}
}

// escape makes a name a part of a JSON pointer, of a length fit to be shown.
func escape(name string) string {
	if runes := []rune(name); len(runes) > 40 {
		name = string(runes[:40]) + "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (d *decoder) text(at string, value any) string {
	text, ok := value.(string)
	if !ok && value != nil {
		d.add(at, "must be a string")
	}
	return text
}

func (d *decoder) number(at string, value any) int {
	if value == nil {
		return 0
	}
	text, _ := value.(json.Number)
	number, err := strconv.ParseInt(text.String(), 10, 32)
	if err != nil {
		d.add(at, "must be a whole number from 1 to "+strconv.Itoa(checkout.MaxQuantity))
	}
	return int(number)
}
