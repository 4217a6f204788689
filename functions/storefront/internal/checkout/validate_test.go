package checkout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
)

// good is a request that nothing is wrong with.
func good() checkout.Request {
	return checkout.Request{
		Customer: checkout.Customer{Name: "Ada Okafor", Email: "ada@example.com"},
		ShippingAddress: checkout.Address{
			Line1: "Lange Violettestraat 12", City: "Gent", PostalCode: "9000", Country: "BE",
		},
		Lines:         []checkout.Line{{SKU: "BREW-KETTLE", Quantity: 1}},
		PaymentMethod: "pm_card_visa",
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*checkout.Request){
		"as it is":         func(*checkout.Request) {},
		"one letter":       func(r *checkout.Request) { r.Customer.Name = "U" },
		"other scripts":    func(r *checkout.Request) { r.Customer.Name = "Ngọc 山田 Ærøskøbing O’Neil" },
		"emoji with joint": func(r *checkout.Request) { r.Customer.Name = "Ada 👩‍🚀" },
		"markup":           func(r *checkout.Request) { r.Customer.Name = "<b>Ada</b>" },
		"a number":         func(r *checkout.Request) { r.ShippingAddress.Line1 = "12" },
		"Arabic digits":    func(r *checkout.Request) { r.ShippingAddress.Line1 = "١٢" },
		"no postal code":   func(r *checkout.Request) { r.ShippingAddress.PostalCode = "-" }, // as people write it where there are none
		"joined letters":   func(r *checkout.Request) { r.Customer.Name = "علی\u200cرضا" },
		"100 runes":        func(r *checkout.Request) { r.Customer.Name = strings.Repeat("é", 100) },
		"tagged e-mail":    func(r *checkout.Request) { r.Customer.Email = "a.b+c'd@mail.example.co.uk" },
		"long local part":  func(r *checkout.Request) { r.Customer.Email = strings.Repeat("a", 64) + "@example.com" },
		"domain in UTF-8":  func(r *checkout.Request) { r.Customer.Email = "ada@bücher.example" },
		"TLD in UTF-8":     func(r *checkout.Request) { r.Customer.Email = "ada@उदाहरण.भारत" },
		"TLD in punycode":  func(r *checkout.Request) { r.Customer.Email = "ada@xn--e1afmkfd.xn--p1ai" },
		"domain of digits": func(r *checkout.Request) { r.Customer.Email = "ada@163.com" },
		"second line":      func(r *checkout.Request) { r.ShippingAddress.Line2 = "3rd floor" },
		"most":             func(r *checkout.Request) { r.Lines[0].Quantity = checkout.MaxQuantity },
		"50 lines":         func(r *checkout.Request) { r.Lines = manyLines(50) },
		"shortest SKU":     func(r *checkout.Request) { r.Lines[0].SKU = "A1" },
		"longest SKU":      func(r *checkout.Request) { r.Lines[0].SKU = strings.Repeat("A", 32) },
		"longest method":   func(r *checkout.Request) { r.PaymentMethod = "pm_" + strings.Repeat("a", 64) },
		"method's letters": func(r *checkout.Request) { r.PaymentMethod = "pm_card_visa_chargeDeclined_1" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := good()
			change(&request)
			if got := checkout.Validate(request); len(got) > 0 {
				t.Errorf("Validate = %v, want nothing", got)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*checkout.Request)
		at     string
	}{
		"NEL":                 {func(r *checkout.Request) { r.Customer.Name = "A\u0085" }, "/customer/name"},
		"line separator":      {func(r *checkout.Request) { r.Customer.Name = "A\u2028B" }, "/customer/name"},
		"override":            {func(r *checkout.Request) { r.ShippingAddress.Line1 = "A\u202eB" }, "/shipping_address/line1"},
		"isolate":             {func(r *checkout.Request) { r.ShippingAddress.City = "A\u2067B" }, "/shipping_address/city"},
		"not UTF-8":           {func(r *checkout.Request) { r.ShippingAddress.City = "A\xff" }, "/shipping_address/city"},
		"what was not UTF-8":  {func(r *checkout.Request) { r.ShippingAddress.City = "A\ufffd" }, "/shipping_address/city"},
		"tab in line2":        {func(r *checkout.Request) { r.ShippingAddress.Line2 = "A\tB" }, "/shipping_address/line2"},
		"no city":             {func(r *checkout.Request) { r.ShippingAddress.City = "" }, "/shipping_address/city"},
		"no country":          {func(r *checkout.Request) { r.ShippingAddress.Country = "" }, "/shipping_address/country"},
		"country with break":  {func(r *checkout.Request) { r.ShippingAddress.Country = "\nB" }, "/shipping_address/country"},
		"e-mail with comment": {func(r *checkout.Request) { r.Customer.Email = "ada(x)@example.com" }, "/customer/email"},
		"e-mail quoted":       {func(r *checkout.Request) { r.Customer.Email = `"a b"@example.com` }, "/customer/email"},
		"e-mail with space":   {func(r *checkout.Request) { r.Customer.Email = "ada@example.com " }, "/customer/email"},
		"e-mail with header":  {func(r *checkout.Request) { r.Customer.Email = "ada@example.com\r\nBcc: x@example.com" }, "/customer/email"},
		"e-mail to an IP":     {func(r *checkout.Request) { r.Customer.Email = "ada@[127.0.0.1]" }, "/customer/email"},
		"e-mail to bare IP":   {func(r *checkout.Request) { r.Customer.Email = "a@127.0.0.1" }, "/customer/email"},
		"e-mail to hex IP":    {func(r *checkout.Request) { r.Customer.Email = "a@127.0x1" }, "/customer/email"},
		"IP in full width":    {func(r *checkout.Request) { r.Customer.Email = "a@１２７.０.０.１" }, "/customer/email"},
		"domain with line":    {func(r *checkout.Request) { r.Customer.Email = "a@b.c_d" }, "/customer/email"},
		"domain with emoji":   {func(r *checkout.Request) { r.Customer.Email = "a@🎉.example" }, "/customer/email"},
		"domain with filler":  {func(r *checkout.Request) { r.Customer.Email = "a@\u3164.example" }, "/customer/email"},
		"domain with slash":   {func(r *checkout.Request) { r.Customer.Email = "a@b/c.example" }, "/customer/email"},
		"emoji as name":       {func(r *checkout.Request) { r.Customer.Name = "🎉🎉" }, "/customer/name"},
		"astronaut as name":   {func(r *checkout.Request) { r.Customer.Name = "👩‍🚀" }, "/customer/name"},
		"emoji as street":     {func(r *checkout.Request) { r.ShippingAddress.Line1 = "🎉🎉" }, "/shipping_address/line1"},
		"emoji as city":       {func(r *checkout.Request) { r.ShippingAddress.City = "🎉🎉" }, "/shipping_address/city"},
		"dots as city":        {func(r *checkout.Request) { r.ShippingAddress.City = "..." }, "/shipping_address/city"},
		"zero width":          {func(r *checkout.Request) { r.Customer.Name = "\u200b" }, "/customer/name"},
		"tags and marks":      {func(r *checkout.Request) { r.Customer.Name = "\U000E0001\uFEFF\u200F" }, "/customer/name"},
		"accents on nothing":  {func(r *checkout.Request) { r.Customer.Name = "\u0301\u0301" }, "/customer/name"},
		"Hangul filler":       {func(r *checkout.Request) { r.Customer.Name = "\u3164\uffa0\u115f" }, "/customer/name"},
		"braille blank":       {func(r *checkout.Request) { r.Customer.Name = "\u2800" }, "/customer/name"},
		"zero-width code":     {func(r *checkout.Request) { r.ShippingAddress.PostalCode = "\u200b" }, "/shipping_address/postal_code"},
		"domain with hyphen":  {func(r *checkout.Request) { r.Customer.Email = "ada@-example.com" }, "/customer/email"},
		"domain with dots":    {func(r *checkout.Request) { r.Customer.Email = "ada@example..com" }, "/customer/email"},
		"long label":          {func(r *checkout.Request) { r.Customer.Email = "ada@" + strings.Repeat("a", 64) + ".com" }, "/customer/email"},
		"local part of 65":    {func(r *checkout.Request) { r.Customer.Email = strings.Repeat("a", 65) + "@example.com" }, "/customer/email"},
		"51 lines":            {func(r *checkout.Request) { r.Lines = manyLines(51) }, "/lines"},
		"SKU of one letter":   {func(r *checkout.Request) { r.Lines[0].SKU = "A" }, "/lines/0/sku"},
		"SKU of 33":           {func(r *checkout.Request) { r.Lines[0].SKU = strings.Repeat("A", 33) }, "/lines/0/sku"},
		"SKU from hyphen":     {func(r *checkout.Request) { r.Lines[0].SKU = "-A" }, "/lines/0/sku"},
		"small SKU":           {func(r *checkout.Request) { r.Lines[0].SKU = "brew-kettle" }, "/lines/0/sku"},
		"SKU with a gap":      {func(r *checkout.Request) { r.Lines[0].SKU = "BREW KETTLE" }, "/lines/0/sku"},
		"bare method":         {func(r *checkout.Request) { r.PaymentMethod = "pm_" }, "/payment_method"},
		"method with hyphen":  {func(r *checkout.Request) { r.PaymentMethod = "pm_card-visa" }, "/payment_method"},
		"method of 65":        {func(r *checkout.Request) { r.PaymentMethod = "pm_" + strings.Repeat("a", 65) }, "/payment_method"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := good()
			test.change(&request)
			got := checkout.Validate(request)
			if len(got) != 1 || got[0].Pointer != test.at {
				t.Errorf("Validate = %v, want one problem at %s", got, test.at)
			}
		})
	}
}

func manyLines(count int) []checkout.Line {
	lines := make([]checkout.Line, count)
	for i := range lines {
		lines[i] = checkout.Line{SKU: fmt.Sprintf("A%d", i), Quantity: 1}
	}
	return lines
}

// FuzzValidate holds to what labels, mail headers and pages rely on.
func FuzzValidate(f *testing.F) {
	f.Add("Ada Okafor", "ada@example.com")
	f.Add("A\r\nBcc: x", "a@b.c\x00")
	f.Fuzz(func(t *testing.T, name, email string) {
		request := good()
		request.Customer = checkout.Customer{Name: name, Email: email}
		if len(checkout.Validate(request)) == 0 && strings.ContainsAny(name+email, "\r\n\x00\u2028\u202e") {
			t.Errorf("Validate accepts %q <%q>", name, email)
		}
	})
}

func TestCountries(t *testing.T) {
	t.Parallel()
	countries := checkout.Countries()
	if len(countries) != 249 {
		t.Errorf("%d countries, want ISO 3166-1's 249", len(countries))
	}
	seen := map[string]bool{}
	for _, country := range countries {
		if len(country.Code) != 2 || country.Name == "" || seen[country.Code] {
			t.Errorf("country %+v is twice or incomplete", country)
		}
		seen[country.Code] = true
	}
	if !slices.Contains(countries, checkout.Country{Code: "CI", Name: "Côte d’Ivoire"}) {
		t.Error("no Côte d’Ivoire")
	}
}

func TestRequestsAreNotPrinted(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprintf("%v %+v %#v %s", good(), good(), good(), good()); got != "*** *** *** ***" {
		t.Errorf("a printed request: %s", got)
	}
}
