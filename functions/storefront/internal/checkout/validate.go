package checkout

import (
	"fmt"
	"net/mail"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of an order.
const (
	MaxLines    = 50
	MaxQuantity = 100_000

	maxText       = 100
	maxPostalCode = 16
	maxEmail      = 254 // RFC 5321's limit for a path
)

// Validate lists what is wrong with a request, as far as can be said without
// the catalogue.
func Validate(r Request) []Problem {
	c := &checker{}
	c.worded("/customer/name", r.Customer.Name, maxText)
	c.email("/customer/email", r.Customer.Email)
	c.worded("/shipping_address/line1", r.ShippingAddress.Line1, maxText)
	c.optionalText("/shipping_address/line2", r.ShippingAddress.Line2, maxText)
	c.worded("/shipping_address/city", r.ShippingAddress.City, maxText)
	c.text("/shipping_address/postal_code", r.ShippingAddress.PostalCode, maxPostalCode)
	c.country("/shipping_address/country", r.ShippingAddress.Country)
	c.lines(r.Lines)
	c.paymentMethod("/payment_method", r.PaymentMethod)
	return c.problems
}

// checker gathers problems, so that a customer sees them all at once.
type checker struct {
	problems []Problem
}

func (c *checker) add(pointer, detail string) {
	c.problems = append(c.problems, Problem{Pointer: pointer, Detail: detail})
}

// worded wants something that a carrier can read.
func (c *checker) worded(pointer, value string, limit int) {
	if strings.ContainsFunc(value, visible) && !strings.ContainsFunc(value, readable) {
		c.add(pointer, "needs a letter or a digit")
		return
	}
	c.text(pointer, value, limit)
}

func (c *checker) text(pointer, value string, limit int) {
	if !strings.ContainsFunc(value, visible) {
		c.add(pointer, "is required")
		return
	}
	c.optionalText(pointer, value, limit)
}

// visible tells what can be seen by itself: no space, joiner or mark, and none
// of the letters that Unicode has for filling a space with nothing.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func readable(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N) && visible(r)
}

func (c *checker) optionalText(pointer, value string, limit int) {
	switch {
	case utf8.RuneCountInString(value) > limit:
		c.add(pointer, fmt.Sprintf("is longer than %d characters", limit))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unprintable):
		c.add(pointer, "holds characters that can't be printed")
	}
}

// unprintable tells whether a character has no place in a name or an address:
// control characters break mail headers and labels, line separators break
// lines, and bidirectional overrides make text read as what it isn't.
func unprintable(r rune) bool {
	switch {
	case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
		return true
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}

func (c *checker) email(pointer, value string) {
	switch {
	case value == "":
		c.add(pointer, "is required")
	case len(value) > maxEmail:
		c.add(pointer, fmt.Sprintf("is longer than %d characters", maxEmail))
	case !IsEmail(value):
		c.add(pointer, "is not an e-mail address")
	}
}

// IsEmail takes the bare addresses that mail servers take. net/mail also reads
// display names, comments, quoted parts and hosts without a dot; nobody's
// address in a shop looks like that.
func IsEmail(value string) bool {
	if len(value) > maxEmail || strings.ContainsFunc(value, unfitForEmail) {
		return false
	}
	parsed, err := mail.ParseAddress(value)
	if err != nil || parsed.Address != value {
		return false
	}
	local, domain, _ := strings.Cut(value, "@")
	return len(local) <= 64 && isDomain(domain)
}

func unfitForEmail(r rune) bool {
	return unprintable(r) || unicode.IsSpace(r) || strings.ContainsRune(`"()<>[]\,;:`, r)
}

func isDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsFunc(label, unfitForDomain) {
			return false
		}
	}
	// No top-level domain begins with a digit: that would be an IP address.
	first, _ := utf8.DecodeRuneInString(labels[len(labels)-1])
	return unicode.IsLetter(first)
}

// unfitForDomain tells what isn't in a host name, also one in Unicode.
func unfitForDomain(r rune) bool {
	return r != '-' && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func (c *checker) country(pointer, code string) {
	switch {
	case code == "":
		c.add(pointer, "is required")
	case !isCountry(code):
		c.add(pointer, "is not an ISO 3166-1 alpha-2 code in capitals, such as DE")
	}
}

func (c *checker) lines(lines []Line) {
	if len(lines) == 0 || len(lines) > MaxLines {
		c.add("/lines", fmt.Sprintf("must have 1 to %d lines", MaxLines))
		return
	}
	seen := map[string]bool{}
	for i, line := range lines {
		at := "/lines/" + strconv.Itoa(i)
		switch {
		case !isSKU(line.SKU):
			c.add(at+"/sku", "is not an article's number")
		case seen[line.SKU]:
			c.add(at+"/sku", "stands in an earlier line already")
		}
		seen[line.SKU] = true
		if line.Quantity < 1 || line.Quantity > MaxQuantity {
			c.add(at+"/quantity", fmt.Sprintf("must be 1 to %d", MaxQuantity))
		}
	}
}

const (
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits   = "0123456789"
)

// isSKU holds to what the catalogue can store.
func isSKU(sku string) bool {
	return len(sku) >= 2 && len(sku) <= 32 && sku[0] != '-' && consistsOf(sku, capitals+digits+"-")
}

func (c *checker) paymentMethod(pointer, method string) {
	switch {
	case method == "":
		c.add(pointer, "is required")
	case !isPaymentMethod(method):
		c.add(pointer, "is not a payment method's id, such as pm_card_visa")
	}
}

func isPaymentMethod(method string) bool {
	id, prefixed := strings.CutPrefix(method, "pm_")
	return prefixed && id != "" && len(id) <= 64 && consistsOf(id, capitals+strings.ToLower(capitals)+digits+"_")
}

func consistsOf(s, alphabet string) bool {
	return strings.Trim(s, alphabet) == "" // cuts from both ends until it meets something else
}
