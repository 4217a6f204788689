package memdb

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// Stock is a row of stock.
type Stock struct {
	SKU                                          string
	Opening, Received, OnHand, Reserved, Shipped int64
}

func (s Stock) check() error {
	return checks{
		{"nothing_vanishes", s.Opening+s.Received == s.OnHand+s.Shipped},
		{"reserved_is_on_hand", s.Reserved <= s.OnHand},
		{"stock_on_hand_check", s.OnHand >= 0},
		{"stock_reserved_check", s.Reserved >= 0},
		{"stock_shipped_check", s.Shipped >= 0},
	}.err()
}

// Reservation is a row of reservations.
type Reservation struct {
	OrderID  uuid.UUID
	SKU      string
	Quantity int32
	State    string
}

func (r Reservation) check() error {
	return checks{
		{"reservations_quantity_check", r.Quantity > 0},
		{"reservations_state_check", oneOf(r.State, "held", "shipped", "released")},
	}.err()
}

type reservationKey struct {
	order uuid.UUID
	sku   string
}

func stockStatements() []statement {
	return []statement{
		{"inventory-update LockStock", "27c2e2a6ce0f", lockStock},
		{"inventory-update Reserve", "deb5c156aef2", reserve},
		{"shipment-preparation ShipUnits", "7f875beb17c2", shipUnits},
		{"order-cancellation ReturnStock", "5eef7fecc5c4", returnStock},
	}
}

// bySKU are an order's lines in the order in which everybody locks stock.
func (tx *Tx) bySKU(order uuid.UUID) []Line {
	lines, _ := tx.db.lines.get(tx, order)
	return slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return cmp.Compare(a.SKU, b.SKU) })
}

func lockStock(tx *Tx, args []any) (result, error) {
	order := id(args, 0)
	for _, line := range tx.bySKU(order) {
		if _, stocked := tx.db.stock.get(tx, line.SKU); !stocked {
			continue
		}
		if err := tx.db.stock.lock(tx, line.SKU); err != nil {
			return result{}, err
		}
	}
	var out result
	lines, _ := tx.db.lines.get(tx, order)
	for _, line := range lines {
		stock, _ := tx.db.stock.get(tx, line.SKU)
		out.rows = append(out.rows, []any{line.SKU, line.Quantity, stock.OnHand - stock.Reserved})
	}
	return out, nil
}

func reserve(tx *Tx, args []any) (result, error) {
	order := id(args, 0)
	var taken []Line
	for _, line := range tx.bySKU(order) {
		if stock, stocked := tx.db.stock.get(tx, line.SKU); !stocked || stock.OnHand-stock.Reserved < int64(line.Quantity) {
			continue
		}
		if err := tx.db.stock.lock(tx, line.SKU); err != nil {
			return result{}, err
		}
		if err := tx.db.reservations.lock(tx, reservationKey{order, line.SKU}); err != nil {
			return result{}, err
		}
		taken = append(taken, line)
	}
	for _, line := range taken {
		stock, _ := tx.db.stock.get(tx, line.SKU)
		stock.Reserved += int64(line.Quantity)
		key := reservationKey{order, line.SKU}
		if _, there := tx.db.reservations.get(tx, key); there {
			return result{}, violation(unique, "reservations_pkey")
		}
		made := Reservation{order, line.SKU, line.Quantity, "held"}
		if err := cmp.Or(stock.check(), made.check()); err != nil {
			return result{}, err
		}
		tx.db.stock.set(line.SKU, stock)
		tx.db.reservations.set(key, made)
	}
	return changed(len(taken))
}

// held locks what is held for an order, and the stock that it is held in.
func (tx *Tx) held(order uuid.UUID) ([]Reservation, error) {
	var held []Reservation
	for _, line := range tx.bySKU(order) {
		key := reservationKey{order, line.SKU}
		if r, there := tx.db.reservations.get(tx, key); !there || r.State != "held" {
			continue
		}
		if err := tx.db.reservations.lock(tx, key); err != nil {
			return nil, err
		}
		if err := tx.db.stock.lock(tx, line.SKU); err != nil {
			return nil, err
		}
		r, _ := tx.db.reservations.get(tx, key)
		held = append(held, r)
	}
	return held, nil
}

// move takes what is held to another state, and the stock with it.
func (tx *Tx) move(order uuid.UUID, state string, with func(s *Stock, quantity int64)) (result, error) {
	held, err := tx.held(order)
	if err != nil {
		return result{}, err
	}
	for _, r := range held {
		stock, _ := tx.db.stock.get(tx, r.SKU)
		with(&stock, int64(r.Quantity))
		if err := stock.check(); err != nil {
			return result{}, err
		}
		r.State = state
		tx.db.stock.set(r.SKU, stock)
		tx.db.reservations.set(reservationKey{order, r.SKU}, r)
	}
	return changed(len(held))
}

func shipUnits(tx *Tx, args []any) (result, error) {
	return tx.move(id(args, 0), "shipped", func(s *Stock, quantity int64) {
		s.OnHand, s.Reserved, s.Shipped = s.OnHand-quantity, s.Reserved-quantity, s.Shipped+quantity
	})
}

func returnStock(tx *Tx, args []any) (result, error) {
	return tx.move(id(args, 0), "released", func(s *Stock, quantity int64) { s.Reserved -= quantity })
}
