package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/collate"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/shared/locale"
)

// The pages are written in English. What they say in another language stands in
// the file of that language, by what they say in English; a test finds what is
// missing there.
//
//go:embed words
var wordFiles embed.FS

// phrase is something to be said in the reader's language.
type phrase struct {
	// text is how it is said in English, with verbs of fmt for what stands in args.
	text string
	args []any
	// verbatim is the same in every language: a name, a number.
	verbatim string
}

func say(text string, args ...any) phrase { return phrase{text: text, args: args} }

func verbatim(text string) phrase { return phrase{verbatim: text} }

// tongue is one language with its words.
type tongue struct {
	locale.Locale

	printer   *message.Printer
	countries []checkout.Country
}

// loadTongues reads the words of every language, the one for everybody first.
func loadTongues() ([]*tongue, error) {
	words := catalog.NewBuilder(catalog.Fallback(locale.English().Tag()))
	var all []*tongue
	for _, one := range locale.All() {
		if err := learn(words, one); err != nil {
			return nil, err
		}
		all = append(all, &tongue{
			Locale: one, printer: message.NewPrinter(one.Tag(), message.Catalog(words)), countries: countriesIn(one),
		})
	}
	return all, nil
}

func learn(words *catalog.Builder, in locale.Locale) error {
	translations, err := readWords(in)
	if err != nil {
		return err
	}
	for english, said := range translations {
		if err := words.SetString(in.Tag(), english, said); err != nil {
			return fmt.Errorf("words of %s: %q: %w", in.Code(), english, err)
		}
	}
	return nil
}

func readWords(in locale.Locale) (map[string]string, error) {
	if in.Code() == locale.English().Code() {
		return map[string]string{}, nil
	}
	content, err := wordFiles.ReadFile("words/" + in.Code() + ".json")
	if err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	var translations map[string]string
	if err := json.Unmarshal(content, &translations); err != nil {
		return nil, fmt.Errorf("read words of %s: %w", in.Code(), err)
	}
	return translations, nil
}

// countriesIn lists the countries by their names, in the order of the language.
func countriesIn(in locale.Locale) []checkout.Country {
	all := checkout.Countries()
	for i := range all {
		all[i].Name = in.Country(all[i].Code)
	}
	order := collate.New(in.Tag())
	slices.SortFunc(all, func(a, b checkout.Country) int { return order.CompareString(a.Name, b.Name) })
	return all
}

// say says a phrase, or an English text with what belongs into it.
func (t *tongue) say(what any, args ...any) string {
	said, whole := what.(phrase)
	if !whole {
		text, _ := what.(string)
		said = phrase{text: text, args: args}
	}
	switch {
	case said.verbatim != "":
		return said.verbatim
	case said.text == "":
		return ""
	}
	spoken := make([]any, len(said.args))
	for i, arg := range said.args {
		spoken[i] = t.spoken(arg)
	}
	return t.printer.Sprintf(said.text, spoken...)
}

func (t *tongue) spoken(arg any) any {
	switch value := arg.(type) {
	case events.Money:
		return t.Money(value)
	case phrase:
		return t.say(value)
	default:
		return arg
	}
}

// functions are what templates can ask the language for.
func (t *tongue) functions() template.FuncMap {
	return template.FuncMap{
		"t":         t.say,
		"lang":      t.Code,
		"languages": locale.All,
		"money":     t.Money,
		"machine":   func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
		"moment":    t.Moment,
		"country":   t.Country,
		"countries": func() []checkout.Country { return t.countries },
		"slug":      strings.ToLower,
	}
}
