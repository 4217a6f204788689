// Package demo is the catalogue of Small Hours, the shop that a new
// installation opens with: coffee, tea, and the things to make them with. Most
// of it is plentiful; three articles are nearly gone, so that a sold-out order
// is easy to come by.
package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed products.json
var productsJSON []byte

// Product is one article with the stock that it starts with.
type Product struct {
	SKU         string `json:"sku"`
	Name        string `json:"name"`
	Description string `json:"description"`
	// Texts are the description in other languages, by their codes.
	Texts    map[string]string `json:"texts"`
	Category string            `json:"category"`
	// Price is in the minor unit of Currency.
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Stock    int64  `json:"stock"`
}

// Products lists the shop's articles in the order of its shelves.
func Products() ([]Product, error) {
	var products []Product
	if err := json.Unmarshal(productsJSON, &products); err != nil {
		return nil, fmt.Errorf("decode demo catalogue: %w", err)
	}
	return products, nil
}

// DB is what Seed needs of a pool, a connection or a transaction.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Seed puts the shop's articles into an empty catalogue. An article that is
// there already keeps its text, its price and above all its stock.
func Seed(ctx context.Context, db DB) error {
	if _, err := db.Exec(ctx, seed, productsJSON); err != nil {
		return fmt.Errorf("seed demo catalogue: %w", err)
	}
	return nil
}

const seed = `
with shop as (
    select ordinality as position, product.*
    from rows from (jsonb_to_recordset($1::jsonb) as (
        sku text, name text, description text, texts jsonb, category text, price bigint, currency text, stock bigint
    )) with ordinality as product (sku, name, description, texts, category, price, currency, stock, ordinality)
), added as (
    insert into products (sku, name, description, category, price_amount, currency, position)
    select sku, name, description, category, price, currency, position from shop
    on conflict (sku) do nothing
), described as (
    insert into product_texts (sku, language, description)
    select shop.sku, text.key, text.value from shop, jsonb_each_text(shop.texts) as text
    on conflict (sku, language) do nothing
)
insert into stock (sku, opening, on_hand)
select sku, stock, stock from shop
on conflict (sku) do nothing`
