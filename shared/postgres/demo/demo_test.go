package demo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// maxQuantity is the most that one line of an order can ask for. An article's
// stock is below it, so that any of them can be ordered out of stock.
const maxQuantity = 100_000

func TestProducts(t *testing.T) {
	t.Parallel()
	products := load(t)
	if len(products) != 12 {
		t.Errorf("len(Products()) = %d, want 12", len(products))
	}
	seen, scarce := map[string]bool{}, 0
	for _, p := range products {
		if seen[p.SKU] || p.Name == "" || p.Description == "" || p.Category == "" || p.Price <= 0 || p.Currency != "EUR" {
			t.Errorf("product %+v is twice or incomplete", p)
		}
		if p.Stock <= 0 || p.Stock >= maxQuantity {
			t.Errorf("stock of %s is %d, want 1 to %d", p.SKU, p.Stock, maxQuantity-1)
		}
		if p.Stock < 100 {
			scarce++
		}
		seen[p.SKU] = true
	}
	if scarce != 3 {
		t.Errorf("%d scarce articles, want 3", scarce)
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	if err := demo.Seed(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(load(t), stored(t, pool)); diff != "" {
		t.Errorf("catalogue after Seed (-want +got):\n%s", diff)
	}
}

func TestSeedKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	pool, ctx := postgrestest.New(t), t.Context()
	if err := demo.Seed(ctx, pool); err != nil {
		t.Fatal(err)
	}
	const sold = `update stock set on_hand = on_hand - 5, shipped = shipped + 5 where sku = 'BREW-KETTLE'`
	if _, err := pool.Exec(ctx, sold+`; update products set price_amount = 8100 where sku = 'BREW-KETTLE'`); err != nil {
		t.Fatal(err)
	}
	before := stored(t, pool)
	if err := demo.Seed(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, stored(t, pool)); diff != "" {
		t.Errorf("a second Seed changed the catalogue (-before +after):\n%s", diff)
	}
}

func load(t *testing.T) []demo.Product {
	t.Helper()
	products, err := demo.Products()
	if err != nil {
		t.Fatal(err)
	}
	return products
}

func stored(t *testing.T, pool *pgxpool.Pool) []demo.Product {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select sku, name, description,
		       (select jsonb_object_agg(t.language, t.description) from product_texts t where t.sku = products.sku), category, price_amount, currency, on_hand
		from products join stock using (sku) order by position`)
	if err != nil {
		t.Fatal(err)
	}
	products, err := pgx.CollectRows(rows, pgx.RowToStructByPos[demo.Product])
	if err != nil {
		t.Fatal(err)
	}
	return products
}
