package memdb

import (
	"slices"

	"github.com/google/uuid"
)

// Payment is a row of payments.
type Payment struct {
	OrderID                            uuid.UUID
	ProviderID, State                  string
	Amount                             int64
	Currency                           string
	DeclineCode                        *string
	AuthorisedAt, CapturedAt, ClosedAt *instant
}

func (p Payment) check() error {
	return checks{
		{"declined_for_a_reason", (p.State == "declined") == (p.DeclineCode != nil)},
		{"payments_amount_check", p.Amount > 0},
		{"payments_currency_check", isCurrency(p.Currency)},
		{"payments_state_check", oneOf(p.State, "authorised", "captured", "voided", "refunded", "declined")},
	}.err()
}

func paymentStatements() []statement {
	return []statement{
		{"payment-verification Due", "af1ab1758ca9", due},
		{"payment-verification RecordPayment", "fe6fb988fb3d", func(tx *Tx, args []any) (result, error) {
			return insertPayment(tx, paymentOf(args), func(Payment) bool { return false })
		}},
		{"order-cancellation ClosePayment", "0da3e13a70b5", closePayment},
		{"shipment-preparation RecordPayment", "1cff169acea2", followPayment},
	}
}

func due(tx *Tx, args []any) (result, error) {
	o, there := tx.db.orders.get(tx, id(args, 0))
	if !there {
		return result{}, nil
	}
	return one(o.TotalAmount, o.Currency, o.Method)
}

func paymentOf(args []any) Payment {
	return Payment{
		OrderID: id(args, 0), ProviderID: text(args, 1), State: text(args, 2), Amount: arg[int64](args, 3), Currency: text(args, 4),
		DeclineCode: arg[*string](args, 5), AuthorisedAt: atOrNull(args, 6), CapturedAt: atOrNull(args, 7), ClosedAt: atOrNull(args, 8),
	}
}

// insertPayment inserts a payment, or puts it in the place of what is there if
// that may be replaced.
func insertPayment(tx *Tx, p Payment, replaceable func(Payment) bool) (result, error) {
	if err := p.check(); err != nil {
		return result{}, err
	}
	if err := tx.db.payments.lock(tx, p.OrderID); err != nil {
		return result{}, err
	}
	if old, there := tx.db.payments.get(tx, p.OrderID); there {
		if !replaceable(old) {
			return changed(0)
		}
		// Its id and amount stay as they were.
		old.State, old.DeclineCode, old.AuthorisedAt, old.CapturedAt, old.ClosedAt = p.State, p.DeclineCode, p.AuthorisedAt, p.CapturedAt, p.ClosedAt
		tx.db.payments.set(p.OrderID, old)
		return changed(1)
	}
	if err := tx.db.providerIDs.lock(tx, p.ProviderID); err != nil {
		return result{}, err
	}
	if _, there := tx.db.providerIDs.get(tx, p.ProviderID); there {
		return result{}, violation(unique, "payments_provider_id_key")
	}
	tx.db.payments.set(p.OrderID, p)
	tx.db.providerIDs.set(p.ProviderID, true)
	if _, there := tx.db.orders.get(tx, p.OrderID); !there {
		return result{}, violation(foreignKey, "payments_order_id_fkey")
	}
	return changed(1)
}

func closePayment(tx *Tx, args []any) (result, error) {
	p := paymentOf(args)
	return insertPayment(tx, p, func(old Payment) bool {
		return oneOf(old.State, "authorised", "captured") && old.ProviderID == p.ProviderID
	})
}

func followPayment(tx *Tx, args []any) (result, error) {
	order, state := id(args, 4), text(args, 0)
	p, there := tx.db.payments.get(tx, order)
	open := p.State == "authorised" || (p.State == "captured" && slices.Contains([]string{"captured", "refunded"}, state))
	if !there || !open {
		return changed(0)
	}
	if err := tx.db.payments.lock(tx, order); err != nil {
		return result{}, err
	}
	p.State, p.DeclineCode, p.ClosedAt = state, arg[*string](args, 1), atOrNull(args, 3)
	if captured := atOrNull(args, 2); captured != nil {
		p.CapturedAt = captured
	}
	if err := p.check(); err != nil {
		return result{}, err
	}
	tx.db.payments.set(order, p)
	return changed(1)
}
