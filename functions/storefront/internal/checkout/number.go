package checkout

import (
	"crypto/rand"
	"strings"
)

// crockford is base 32 without the letters that people mistake for others. It
// has 32 characters, so every one of them is as likely.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newNumber makes an order's number, "OF-7K2QD-M41RX". It is drawn, not
// counted: a number doesn't tell how much the shop sells, nor the next one.
func newNumber() string {
	var random [10]byte
	rand.Read(random[:]) //nolint:errcheck // never fails
	number := make([]byte, 0, 14)
	number = append(number, "OF-"...)
	for i, b := range random {
		if i == 5 {
			number = append(number, '-')
		}
		number = append(number, crockford[b%32])
	}
	return string(number)
}

// ReadNumber reads an order's number as people write it: in small letters, without
// its dashes, or with letters that aren't in it for the digits they look like.
func ReadNumber(written string) (number string, readable bool) {
	plain := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(written))
	drawn, prefixed := strings.CutPrefix(plain, "0F")
	if !prefixed {
		drawn = plain
	}
	if len(drawn) != 10 || !consistsOf(drawn, crockford) {
		return "", false
	}
	return "OF-" + drawn[:5] + "-" + drawn[5:], true
}
