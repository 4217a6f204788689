package page

import (
	"net/http"
	"slices"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/catalogue"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// few is the number of pieces from which on a customer should know.
const few = 50

// item is a product as it stands on a shelf.
type item struct {
	catalogue.Product
}

// Scarce tells whether the article is nearly gone.
func (i item) Scarce() bool { return i.Available > 0 && i.Available <= few }

// SoldOut tells whether it is gone.
func (i item) SoldOut() bool { return i.Available <= 0 }

// shelf is the articles of one category.
type shelf struct {
	// Category is what the catalogue calls it, and Title what its customers do.
	Category string
	Title    phrase
	Line     phrase
	Items    []item
}

// shelves sorts articles into their categories, both in the catalogue's order.
func shelves(products []catalogue.Product) []shelf {
	var all []shelf
	at := map[string]int{}
	for _, product := range products {
		i, known := at[product.Category]
		if !known {
			i, at[product.Category] = len(all), len(all)
			all = append(all, newShelf(product.Category))
		}
		all[i].Items = append(all[i].Items, item{product})
	}
	return all
}

// newShelf says of the shop's categories what it has to say. One that is new is
// called what the catalogue calls it.
func newShelf(category string) shelf {
	one := shelf{Category: category, Title: verbatim(category)}
	switch category {
	case "Coffee":
		one.Title, one.Line = say("Coffee"), say("Roasted on Tuesdays, posted on Wednesdays.")
	case "Tea":
		one.Title, one.Line = say("Tea"), say("For the hours that don’t need an edge.")
	case "Brewing":
		one.Title, one.Line = say("Brewing"), say("A few good tools, bought once.")
	case "Table":
		one.Title, one.Line = say("Table"), say("What to set out with it.")
	}
	return one
}

func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	products, err := s.Catalogue.List(r.Context(), s.tongueOf(r).Code())
	if err != nil {
		return err
	}
	return s.show(w, r, "home", http.StatusOK, struct {
		frame

		Shelves []shelf
	}{s.frame(r, say("Coffee and tea for the small hours")), shelves(products)})
}

func (s *site) product(w http.ResponseWriter, r *http.Request) error {
	products, err := s.Catalogue.List(r.Context(), s.tongueOf(r).Code())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(products, func(p catalogue.Product) bool { return p.SKU == r.PathValue("sku") })
	if at < 0 {
		return problem.NotFound()
	}
	one := products[at]
	return s.show(w, r, "product", http.StatusOK, struct {
		frame

		Item   item
		Shelf  shelf
		Others []item
	}{s.frame(r, verbatim(one.Name)), item{one}, newShelf(one.Category), neighbours(products, at)})
}

// neighbours are the next three articles, round to the first again.
func neighbours(products []catalogue.Product, at int) []item {
	var others []item
	for i := 1; i < len(products) && i <= 3; i++ {
		others = append(others, item{products[(at+i)%len(products)]})
	}
	return others
}
