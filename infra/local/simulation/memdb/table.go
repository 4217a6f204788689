package memdb

// table is a table, or one of its unique keys.
type table[K comparable, R any] struct{ cells map[K]*cell[R] }

// cell is a row with what the transaction that has it locked makes of it.
type cell[R any] struct {
	committed, written *R
	owner              *Tx
}

func newTable[K comparable, R any]() *table[K, R] { return &table[K, R]{cells: map[K]*cell[R]{}} }

// put stores a row outside of any transaction.
func (t *table[K, R]) put(key K, row R) { t.cells[key] = &cell[R]{committed: &row} }

// get reads a row as a transaction sees it.
func (t *table[K, R]) get(tx *Tx, key K) (R, bool) {
	var none R
	c := t.cells[key]
	switch {
	case c == nil:
		return none, false
	case c.owner == tx && c.written != nil:
		return *c.written, true
	case c.committed != nil:
		return *c.committed, true
	}
	return none, false
}

// locked tells whether another transaction has the row.
func (t *table[K, R]) locked(tx *Tx, key K) bool {
	c := t.cells[key]
	return c != nil && c.owner != nil && c.owner != tx
}

// lock makes the row, or the key that is to become one, the transaction's own.
// A row that isn't there can't be locked, but its key can be claimed.
func (t *table[K, R]) lock(tx *Tx, key K) error {
	c := t.cells[key]
	if c == nil {
		c = &cell[R]{}
		t.cells[key] = c
	}
	switch c.owner {
	case tx:
		return nil
	case nil:
		c.owner = tx
		tx.ends = append(tx.ends, func(commit bool) { t.end(key, c, commit) })
		return nil
	}
	return &waiting{on: c.owner}
}

func (t *table[K, R]) end(key K, c *cell[R], commit bool) {
	if commit && c.written != nil {
		c.committed = c.written
	}
	c.owner, c.written = nil, nil
	if c.committed == nil {
		delete(t.cells, key)
	}
}

// set writes a row that the transaction has locked.
func (t *table[K, R]) set(key K, row R) { t.cells[key].written = &row }

// all calls f with the committed rows, in no order.
func (t *table[K, R]) all(f func(key K, row R)) {
	for key, c := range t.cells {
		if c.committed != nil {
			f(key, *c.committed)
		}
	}
}

// waiting is the error of a statement that waits for a transaction to end.
type waiting struct{ on *Tx }

// Error implements error.
func (w *waiting) Error() string { return "waits for another transaction" }
