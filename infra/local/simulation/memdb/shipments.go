package memdb

import "github.com/google/uuid"

// Shipment is a row of shipments.
type Shipment struct {
	OrderID                           uuid.UUID
	Carrier, TrackingNumber, LabelKey string
	LabelSHA256                       []byte
	PreparedAt                        instant
}

func shipmentStatements() []statement {
	return []statement{
		{"shipment-preparation Destination", "70718d5182f3", destination},
		{"shipment-preparation Items", "57950cd40a1f", items},
		{"shipment-preparation InsertShipment", "b55df6233370", insertShipment},
	}
}

func destination(tx *Tx, args []any) (result, error) {
	o, there := tx.db.orders.get(tx, id(args, 0))
	c, known := tx.db.contacts.get(tx, id(args, 0))
	if !there || !known {
		return result{}, nil
	}
	return one(o.Number, o.TotalAmount, o.Currency, c.Name, c.Line1, c.Line2, c.City, c.PostalCode, c.Country)
}

func items(tx *Tx, args []any) (result, error) {
	var out result
	lines, _ := tx.db.lines.get(tx, id(args, 0))
	for _, line := range lines {
		r, _ := tx.db.reservations.get(tx, reservationKey{line.OrderID, line.SKU})
		out.rows = append(out.rows, []any{line.SKU, line.Name, line.Quantity, r.State == "held" && r.Quantity == line.Quantity})
	}
	return out, nil
}

func insertShipment(tx *Tx, args []any) (result, error) {
	s := Shipment{id(args, 0), text(args, 1), text(args, 2), text(args, 3), arg[[]byte](args, 4), at(args, 5)}
	if err := given(s.LabelSHA256); err != nil {
		return result{}, err
	}
	if err := tx.db.shipments.lock(tx, s.OrderID); err != nil {
		return result{}, err
	}
	if err := tx.db.trackings.lock(tx, s.TrackingNumber); err != nil {
		return result{}, err
	}
	if err := tx.db.labelKeys.lock(tx, s.LabelKey); err != nil {
		return result{}, err
	}
	if _, there := tx.db.shipments.get(tx, s.OrderID); there {
		return result{}, violation(unique, "shipments_pkey")
	}
	if _, there := tx.db.trackings.get(tx, s.TrackingNumber); there {
		return result{}, violation(unique, "shipments_tracking_number_key")
	}
	if _, there := tx.db.labelKeys.get(tx, s.LabelKey); there {
		return result{}, violation(unique, "shipments_label_key_key")
	}
	tx.db.shipments.set(s.OrderID, s)
	tx.db.labelKeys.set(s.LabelKey, true)
	tx.db.trackings.set(s.TrackingNumber, true)
	if _, there := tx.db.orders.get(tx, s.OrderID); !there {
		return result{}, violation(foreignKey, "shipments_order_id_fkey")
	}
	return changed(1)
}
