// Package locale is the languages that customers are spoken to in: which one
// somebody reads, and how each writes money, moments and countries.
package locale

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/message"

	"github.com/orderflow-project/orderflow/events"
)

// Locale is one language with its ways to write. The zero value is of no use:
// take one of All, Of or Match.
type Locale struct {
	tag language.Tag
	// own is what the language calls itself.
	own string
	// decimal stands between whole and part of an amount.
	decimal string
	// money puts an amount and its sign together.
	money string
	// moment is the form of a time of day, with the month as January.
	moment string
	months []string
}

// English is what is spoken to those who read none of our languages.
func English() Locale {
	return Locale{tag: language.English, own: "English", decimal: ".", money: "%[2]s%[1]s", moment: "2 January 2006, 15:04 UTC"}
}

// German is what it says.
func German() Locale {
	return Locale{
		tag: language.German, own: "Deutsch", decimal: ",", money: "%[1]s\u00a0%[2]s", moment: "2. January 2006, 15:04 UTC",
		months: []string{
			"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
		},
	}
}

// All lists the languages, the one for everybody first.
func All() []Locale { return []Locale{English(), German()} }

// Of finds a language by its code, "de".
func Of(code string) (Locale, bool) {
	for _, one := range All() {
		if one.Code() == code {
			return one, true
		}
	}
	return Locale{}, false
}

// Match is the language that suits an Accept-Language header best; false for a
// header that names none of ours, where it is the one for everybody.
func Match(accepted string) (Locale, bool) {
	tags := make([]language.Tag, 0, len(All()))
	for _, one := range All() {
		tags = append(tags, one.tag)
	}
	wanted, _, err := language.ParseAcceptLanguage(accepted)
	if err != nil || len(wanted) == 0 {
		return English(), false
	}
	_, at, confidence := language.NewMatcher(tags).Match(wanted...)
	return All()[at], confidence != language.No
}

// Code is the language's own, as in the lang of a page: "de".
func (l Locale) Code() string { return l.tag.String() }

// Tag is the language for golang.org/x/text.
func (l Locale) Tag() language.Tag { return l.tag }

// Name is what those who speak the language call it.
func (l Locale) Name() string { return l.own }

// Money writes an amount as shops do: €1,234.50, and 1.234,50 € in German. A
// currency without a sign of its own is written with its code.
func (l Locale) Money(m events.Money) string {
	currency, number, _ := strings.Cut(m.String(), " ")
	number, negative := strings.CutPrefix(number, "-")
	whole, part, fractional := strings.Cut(number, ".")
	text := l.grouped(whole)
	if fractional {
		text += l.decimal + part
	}
	if sign, known := signs()[currency]; known {
		text = fmt.Sprintf(l.money, text, sign)
	} else {
		text = currency + "\u00a0" + text
	}
	if negative {
		return "-" + text
	}
	return text
}

func signs() map[string]string {
	return map[string]string{"EUR": "€", "GBP": "£", "USD": "$", "JPY": "¥"}
}

func (l Locale) grouped(digits string) string {
	var number int64
	if _, err := fmt.Sscan(digits, &number); err != nil {
		return digits
	}
	return message.NewPrinter(l.tag).Sprintf("%d", number)
}

// Moment writes a time, in UTC: "30 November 2026, 09:05 UTC".
func (l Locale) Moment(at time.Time) string {
	at = at.UTC()
	text := at.Format(l.moment)
	if l.months == nil {
		return text
	}
	return strings.Replace(text, at.Month().String(), l.months[at.Month()-1], 1)
}

// Country is the name of a country by its ISO 3166-1 alpha-2 code; what is no
// code stands as it is.
func (l Locale) Country(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	return display.Regions(l.tag).Name(region)
}
