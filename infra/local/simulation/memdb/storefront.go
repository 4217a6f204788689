package memdb

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Product is a row of products.
type Product struct {
	SKU, Name, Description, Category string
	Price                            int64
	Currency                         string
	// Position is where it stands on the shelf.
	Position int32
}

// Contact is a row of order_contacts.
type Contact struct {
	OrderID                                              uuid.UUID
	Name, Email, Line1, Line2, City, PostalCode, Country string
	Language                                             string
}

func (c Contact) check() error {
	code := c.Country
	return checks{
		{"language_is_a_code", c.Language == "" || len(c.Language) == 2 && strings.Trim(c.Language, "abcdefghijklmnopqrstuvwxyz") == ""},
		{"order_contacts_country_check", len(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z'},
	}.err()
}

// Line is a row of order_lines.
type Line struct {
	OrderID   uuid.UUID
	Line      int32
	SKU, Name string
	Quantity  int32
	Price     int64
}

func (l Line) check() error {
	return checks{
		{"order_lines_line_check", l.Line > 0},
		{"order_lines_price_amount_check", l.Price > 0},
		{"order_lines_quantity_check", l.Quantity > 0},
	}.err()
}

type idempotencyKey struct {
	request []byte
	order   uuid.UUID
	created instant
}

func storefrontStatements() []statement {
	return []statement{
		{"storefront FindProducts", "bc3f650d5cbd", findProducts},
		{"storefront FindKey", "423dc6936825", findKey},
		{"storefront InsertOrder", "17d215281c40", insertOrder},
		{"storefront ClaimKey", "3c5e7f885d20", claimKey},
		{"orderlog describeOrder", "2a3ad7f6ca1d", describeOrder},
		{"orderlog listLines", "9ab932c48361", listLines},
	}
}

func findProducts(tx *Tx, args []any) (result, error) {
	var out result
	skus := slices.Clone(arg[[]string](args, 0))
	slices.Sort(skus)
	for _, sku := range slices.Compact(skus) {
		p, known := tx.db.products[sku]
		stock, stocked := tx.db.stock.get(tx, sku)
		if known && stocked {
			out.rows = append(out.rows, []any{p.SKU, p.Name, p.Description, p.Category, p.Price, p.Currency, stock.OnHand - stock.Reserved})
		}
	}
	return out, nil
}

func findKey(tx *Tx, args []any) (result, error) {
	key, there := tx.db.keys.get(tx, string(arg[[]byte](args, 0)))
	if !there {
		return result{}, nil
	}
	o, _ := tx.db.orders.get(tx, key.order)
	return one(key.request, key.order, o.Number, o.TotalAmount, o.Currency)
}

func insertOrder(tx *Tx, args []any) (result, error) {
	o := Order{
		ID: id(args, 0), Number: text(args, 1), Status: "placed", TotalAmount: arg[int64](args, 2), Currency: text(args, 3),
		Method: text(args, 4), PlacedAt: tx.now, UpdatedAt: tx.now,
	}
	if err := o.check(); err != nil {
		return result{}, err
	}
	if err := tx.db.orders.lock(tx, o.ID); err != nil {
		return result{}, err
	}
	if err := tx.db.numbers.lock(tx, o.Number); err != nil {
		return result{}, err
	}
	if _, there := tx.db.orders.get(tx, o.ID); there {
		return result{}, violation(unique, "orders_pkey")
	}
	if _, there := tx.db.numbers.get(tx, o.Number); there {
		return result{}, violation(unique, "orders_number_key")
	}
	contact := Contact{o.ID, text(args, 5), text(args, 6), text(args, 7), text(args, 8), text(args, 9), text(args, 10), text(args, 11), text(args, 12)}
	if err := contact.check(); err != nil {
		return result{}, err
	}
	lines, err := linesOf(tx, o.ID, args[13:])
	if err != nil {
		return result{}, err
	}
	if err := tx.db.contacts.lock(tx, o.ID); err != nil {
		return result{}, err
	}
	if err := tx.db.lines.lock(tx, o.ID); err != nil {
		return result{}, err
	}
	tx.db.orders.set(o.ID, o)
	tx.db.numbers.set(o.Number, true)
	tx.db.contacts.set(o.ID, contact)
	tx.db.lines.set(o.ID, lines)
	return one(o.PlacedAt)
}

func linesOf(tx *Tx, order uuid.UUID, args []any) ([]Line, error) {
	numbers, skus, names := arg[[]int32](args, 0), arg[[]string](args, 1), arg[[]string](args, 2)
	quantities, prices := arg[[]int32](args, 3), arg[[]int64](args, 4)
	var lines []Line
	taken, seen := map[int32]bool{}, map[string]bool{}
	for i, number := range numbers {
		line := Line{order, number, skus[i], names[i], quantities[i], prices[i]}
		if err := line.check(); err != nil {
			return nil, err
		}
		if taken[number] {
			return nil, violation(unique, "order_lines_pkey")
		}
		if seen[line.SKU] {
			return nil, violation(unique, "order_lines_order_id_sku_key")
		}
		taken[number], seen[line.SKU] = true, true
		lines = append(lines, line)
	}
	for _, line := range lines {
		if _, known := tx.db.products[line.SKU]; !known {
			return nil, violation(foreignKey, "order_lines_sku_fkey")
		}
	}
	return lines, nil
}

func claimKey(tx *Tx, args []any) (result, error) {
	if err := given(arg[[]byte](args, 0), arg[[]byte](args, 1)); err != nil {
		return result{}, err
	}
	key := string(arg[[]byte](args, 0))
	if err := tx.db.keys.lock(tx, key); err != nil {
		return result{}, err
	}
	if _, there := tx.db.keys.get(tx, key); there {
		return changed(0)
	}
	order := id(args, 2)
	tx.db.keys.set(key, idempotencyKey{arg[[]byte](args, 1), order, tx.now})
	if _, there := tx.db.orders.get(tx, order); !there {
		return result{}, violation(foreignKey, "idempotency_keys_order_id_fkey")
	}
	return changed(1)
}

func describeOrder(tx *Tx, args []any) (result, error) {
	o, there := tx.db.orders.get(tx, id(args, 0))
	if !there {
		return result{}, nil
	}
	return one(o.Number, o.TotalAmount, o.Currency, tx.db.now())
}

func listLines(tx *Tx, args []any) (result, error) {
	var out result
	lines, _ := tx.db.lines.get(tx, id(args, 0))
	for _, line := range lines {
		out.rows = append(out.rows, []any{line.SKU, line.Quantity, line.Price})
	}
	return out, nil
}
