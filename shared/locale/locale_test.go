package locale_test

import (
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/locale"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		accepted, want string
		found          bool
	}{
		{"", "en", false},
		{"de", "de", true},
		{"de-AT,de;q=0.9,en;q=0.5", "de", true},
		{"en-GB,de;q=0.9", "en", true},
		{"fr, de;q=0.4", "de", true},
		{"de;q=0, en", "en", true},
		{"fr", "en", false},
		{"<script>", "en", false},
		{"*", "en", false},
	} {
		if got, found := locale.Match(test.accepted); got.Code() != test.want || found != test.found {
			t.Errorf("Match(%q) = %s, %v, want %s, %v", test.accepted, got.Code(), found, test.want, test.found)
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	if got, found := locale.Of("de"); !found || got.Name() != "Deutsch" {
		t.Errorf("Of(de) = %s, %v", got.Name(), found)
	}
	for _, code := range []string{"", "DE", "fr", "de-AT", "../de"} {
		if _, found := locale.Of(code); found {
			t.Errorf("Of(%q) is found", code)
		}
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		money           events.Money
		english, german string
	}{
		{events.Money{Amount: 980, Currency: "EUR"}, "€9.80", "9,80\u00a0€"},
		{events.Money{Amount: 5, Currency: "EUR"}, "€0.05", "0,05\u00a0€"},
		{events.Money{Amount: 123_456_789, Currency: "USD"}, "$1,234,567.89", "1.234.567,89\u00a0$"},
		{events.Money{Amount: -123_450, Currency: "GBP"}, "-£1,234.50", "-1.234,50\u00a0£"},
		{events.Money{Amount: 1200, Currency: "JPY"}, "¥1,200", "1.200\u00a0¥"},
		{events.Money{Amount: 9_223_372_036_854_775_807, Currency: "EUR"}, "€92,233,720,368,547,758.07", "92.233.720.368.547.758,07\u00a0€"},
		{events.Money{Amount: 1234, Currency: "KWD"}, "KWD\u00a01.234", "KWD\u00a01,234"},
	} {
		if got := locale.English().Money(test.money); got != test.english {
			t.Errorf("%v in English = %q, want %q", test.money, got, test.english)
		}
		if got := locale.German().Money(test.money); got != test.german {
			t.Errorf("%v in German = %q, want %q", test.money, got, test.german)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 2, 1, 5, 0, 0, time.FixedZone("", 2*60*60))
	if got := locale.English().Moment(at); got != "1 March 2026, 23:05 UTC" {
		t.Errorf("in English: %q", got)
	}
	if got := locale.German().Moment(at); got != "1. März 2026, 23:05 UTC" {
		t.Errorf("in German: %q", got)
	}
}

func TestCountry(t *testing.T) {
	t.Parallel()
	for _, test := range [][3]string{{"BE", "Belgium", "Belgien"}, {"AT", "Austria", "Österreich"}, {"?", "?", "?"}} {
		if english, german := locale.English().Country(test[0]), locale.German().Country(test[0]); english != test[1] || german != test[2] {
			t.Errorf("%s = %s and %s, want %s and %s", test[0], english, german, test[1], test[2])
		}
	}
}
