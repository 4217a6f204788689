package page

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/search"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/catalogue"
)

// maxQuery is how much of what somebody searches for is looked at, in characters.
const maxQuery = 100

// choice is a category to choose.
type choice struct {
	Title  phrase
	Link   string
	Chosen bool
}

// products lists what the shop sells: of one category, by some words, or all.
func (s *site) products(w http.ResponseWriter, r *http.Request) error {
	in := s.tongueOf(r)
	products, err := s.Catalogue.List(r.Context(), in.Code())
	if err != nil {
		return err
	}
	query, category := readQuery(r), r.URL.Query().Get("category")
	choices, heading := categories(shelves(products), query, category)
	items := in.find(products, query, category)
	page := struct {
		frame

		Heading, Found  phrase
		Query, Category string
		MaxQuery        int
		Choices         []choice
		Items           []item
	}{s.frame(r, heading), heading, found(len(items), query), query, category, maxQuery, choices, items}
	page.Private = query != "" // search engines have pages enough
	return s.show(w, r, "products", http.StatusOK, page)
}

func readQuery(r *http.Request) string {
	query := strings.Join(strings.Fields(strings.ToValidUTF8(r.URL.Query().Get("q"), "")), " ")
	if utf8.RuneCountInString(query) > maxQuery {
		query = string([]rune(query)[:maxQuery])
	}
	return query
}

func found(number int, query string) phrase {
	switch {
	case query != "" && number == 1:
		return say("One article for “%s”", query)
	case query != "":
		return say("%d articles for “%s”", number, query)
	case number == 1:
		return say("One article")
	default:
		return say("%d articles", number)
	}
}

// categories are the choices there are, all of them first, and what the list is
// called.
func categories(all []shelf, query, category string) ([]choice, phrase) {
	heading := say("All shelves")
	choices := []choice{{Title: heading, Link: listLink(query, ""), Chosen: category == ""}}
	for _, one := range all {
		slug := strings.ToLower(one.Category)
		if slug == category {
			heading = one.Title
		}
		choices = append(choices, choice{Title: one.Title, Link: listLink(query, slug), Chosen: slug == category})
	}
	return choices, heading
}

func listLink(query, category string) string {
	values := url.Values{}
	if query != "" {
		values.Set("q", query)
	}
	if category != "" {
		values.Set("category", category)
	}
	if len(values) == 0 {
		return "/products"
	}
	return "/products?" + values.Encode()
}

// find are the articles of a category that every word of a query is found in, as
// the language compares words: "kaffee" finds "Kaffee", and "cafe" finds "Café".
func (t *tongue) find(products []catalogue.Product, query, category string) []item {
	matcher := search.New(t.Tag(), search.Loose)
	var words []*search.Pattern
	for word := range strings.FieldsSeq(query) {
		words = append(words, matcher.CompileString(word))
	}
	var items []item
	for _, product := range products {
		if category != "" && strings.ToLower(product.Category) != category {
			continue
		}
		if all(words, product.Name+" "+product.Description+" "+t.say(newShelf(product.Category).Title)) {
			items = append(items, item{product})
		}
	}
	return items
}

func all(words []*search.Pattern, text string) bool {
	for _, word := range words {
		if start, _ := word.IndexString(text); start < 0 {
			return false
		}
	}
	return true
}
