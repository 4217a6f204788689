// Package catalogue lists what the shop sells. Prices and stock are Postgres's,
// read each time: nobody orders at yesterday's price.
package catalogue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
)

// Product is one article of the shop.
type Product struct {
	SKU         string       `json:"sku"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Category    string       `json:"category"`
	Price       events.Money `json:"price"`
	// Available is how many could be sold now; by the time of an order it may
	// be fewer.
	Available int64 `json:"available"`
}

// Catalogue reads the shop's articles.
type Catalogue struct {
	queries *store.Queries
}

// New makes a catalogue that reads from db.
func New(db store.DBTX) *Catalogue {
	return &Catalogue{queries: store.New(db)}
}

// List returns every article in the order of the shelves, described in a language
// as far as the catalogue has it.
func (c *Catalogue) List(ctx context.Context, language string) ([]Product, error) {
	rows, err := c.queries.ListProducts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	texts, err := c.queries.ListProductTexts(ctx, language)
	if err != nil {
		return nil, fmt.Errorf("list product texts: %w", err)
	}
	described := make(map[string]string, len(texts))
	for _, text := range texts {
		described[text.Sku] = text.Description
	}
	products := make([]Product, len(rows))
	for i, row := range rows {
		products[i] = newProduct(store.FindProductsRow(row))
		if text, there := described[row.Sku]; there {
			products[i].Description = text
		}
	}
	return products, nil
}

// Find returns the articles with the given SKUs that the shop sells, by SKU. What is
// no text to Postgres, which would answer with an error, is no SKU.
func (c *Catalogue) Find(ctx context.Context, skus ...string) (map[string]Product, error) {
	skus = slices.DeleteFunc(slices.Clone(skus), func(sku string) bool {
		return !utf8.ValidString(sku) || strings.Contains(sku, "\x00")
	})
	rows, err := c.queries.FindProducts(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("find products: %w", err)
	}
	products := make(map[string]Product, len(rows))
	for _, row := range rows {
		products[row.Sku] = newProduct(row)
	}
	return products, nil
}

func newProduct(row store.FindProductsRow) Product {
	return Product{
		SKU: row.Sku, Name: row.Name, Description: row.Description, Category: row.Category,
		Price: events.Money{Amount: row.PriceAmount, Currency: row.Currency}, Available: row.Available,
	}
}
