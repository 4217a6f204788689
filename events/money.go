package events

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount in the minor unit of its currency (cents for EUR), with
// the ISO 4217 code. It is never a fraction and never a float.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// ErrMoneyOverflow is returned where a sum or product does not fit 64 bits.
var ErrMoneyOverflow = errors.New("amount of money overflows 64 bits")

// validate says what is wrong with m as a price, or nil. A price may be nothing,
// and is never less.
func (m Money) validate() error {
	switch {
	case m.Amount < 0:
		return fmt.Errorf("amount: %d is less than nothing", m.Amount)
	case len(m.Currency) != 3 || strings.Trim(m.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return fmt.Errorf("currency: %q is no code of ISO 4217", m.Currency)
	default:
		return nil
	}
}

// Add returns m + n. Both have the same currency.
func (m Money) Add(n Money) (Money, error) {
	if m.Currency != n.Currency {
		return Money{}, fmt.Errorf("add %s to %s: different currencies", n.Currency, m.Currency)
	}
	if (n.Amount > 0 && m.Amount > math.MaxInt64-n.Amount) || (n.Amount < 0 && m.Amount < math.MinInt64-n.Amount) {
		return Money{}, ErrMoneyOverflow
	}
	return Money{Amount: m.Amount + n.Amount, Currency: m.Currency}, nil
}

// Times returns m multiplied by a quantity of at least zero.
func (m Money) Times(quantity int) (Money, error) {
	q := int64(quantity)
	if q < 0 {
		return Money{}, fmt.Errorf("multiply money by %d: negative quantity", quantity)
	}
	if q != 0 && (m.Amount > math.MaxInt64/q || m.Amount < math.MinInt64/q) {
		return Money{}, ErrMoneyOverflow
	}
	return Money{Amount: m.Amount * q, Currency: m.Currency}, nil
}

// String formats m for people: "EUR 12.50", "JPY 1200".
func (m Money) String() string {
	digits := MinorDigits(m.Currency)
	if digits == 0 {
		return fmt.Sprintf("%s %d", m.Currency, m.Amount)
	}
	unit := int64(math.Pow10(digits))
	sign, whole, part := "", m.Amount/unit, m.Amount%unit
	if m.Amount < 0 {
		sign, whole, part = "-", -whole, -part
	}
	return fmt.Sprintf("%s %s%d.%0*d", m.Currency, sign, whole, digits, part)
}

// ErrNoMoney says that a text is no amount of money.
var ErrNoMoney = errors.New("no amount")

// ParseMoney reads an amount of a currency as people write it, "12.34": with all the
// decimals that the currency has, or with none.
func ParseMoney(text, currency string) (Money, error) {
	digits := MinorDigits(currency)
	whole, part, pointed := strings.Cut(text, ".")
	if !pointed {
		part = strings.Repeat("0", digits)
	}
	minor, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil || whole == "" || len(part) != digits || pointed && digits == 0 || strings.Trim(whole+part, "0123456789") != "" {
		return Money{}, fmt.Errorf("%w in %s: %q, want one like %s", ErrNoMoney, currency, text, strings.TrimPrefix(Money{1234, currency}.String(), currency+" "))
	}
	return Money{Amount: minor, Currency: currency}, nil
}

// MinorDigits is the number of decimals of a currency's minor unit, from the
// ISO 4217 table; 2 for the currencies that are not listed.
func MinorDigits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	default:
		return 2
	}
}
