package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// movements reads what was written after a sequence number.
func (l *ledger) movements(after uint64, limit int) (payment.MovementPage, error) {
	page := payment.MovementPage{Movements: []payment.Movement{}, Next: after}
	err := l.file.View(func(tx *bbolt.Tx) error {
		start := binary.BigEndian.AppendUint64(nil, after)
		var err error
		page.Movements, page.More, err = scan[payment.Movement](tx.Bucket([]byte(bucketMovements)), start, limit, nil)
		return err
	})
	if n := len(page.Movements); n > 0 {
		page.Next = page.Movements[n-1].Seq
	}
	return page, err
}

// payments reads the payments of the orders whose ids come after one.
func (l *ledger) payments(after string, limit int) (payment.Page, error) {
	page := payment.Page{Next: after}
	err := l.file.View(func(tx *bbolt.Tx) error {
		exists := func(p payment.Payment) bool { return p.State != payment.StateNone }
		var err error
		page.Payments, page.More, err = scan(tx.Bucket([]byte(bucketPayments)), []byte(after), limit, exists)
		return err
	})
	if n := len(page.Payments); n > 0 {
		page.Next = page.Payments[n-1].OrderID
	}
	return page, err
}

// scan decodes up to limit values behind a key, and tells whether more follow.
func scan[T any](bucket *bbolt.Bucket, after []byte, limit int, keep func(T) bool) (items []T, more bool, err error) {
	items = []T{}
	cursor := bucket.Cursor()
	key, value := cursor.Seek(after)
	if key != nil && string(key) == string(after) {
		key, value = cursor.Next()
	}
	for ; key != nil; key, value = cursor.Next() {
		var item T
		if err := json.Unmarshal(value, &item); err != nil {
			return nil, false, fmt.Errorf("decode stored value: %w", err)
		}
		if keep != nil && !keep(item) {
			continue
		}
		if len(items) == limit {
			return items, true, nil
		}
		items = append(items, item)
	}
	return items, false, nil
}
