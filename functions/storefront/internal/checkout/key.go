package checkout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
)

// ErrKeyReused says that a key came before, with another request.
var ErrKeyReused = errors.New("idempotency key was used for another request")

// Key lets a customer's client send a request again without ordering again. The
// zero Key is none.
type Key struct {
	hash []byte
}

// NewKey makes a key of what a client sent. Scope keeps apart the keys of
// different kinds of clients. Only hashes are stored: a key lets one see the
// order again, so it is as good as a password.
func NewKey(scope, value string) Key {
	sum := sha256.Sum256([]byte(scope + "\x00" + value))
	return Key{hash: sum[:]}
}

func (k Key) given() bool { return k.hash != nil }

// hashOf makes requests comparable: the same order, however it was written.
func hashOf(r Request) ([]byte, error) {
	canonical, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("hash request: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}

// Find returns the order that a key placed before.
func (d *Desk) Find(ctx context.Context, key Key) (Placed, bool, error) {
	earlier, _, found, err := d.find(ctx, key)
	return earlier, found, err
}

func (d *Desk) replay(ctx context.Context, key Key, requestHash []byte) (Placed, bool, error) {
	earlier, hash, found, err := d.find(ctx, key)
	if found && !bytes.Equal(hash, requestHash) {
		return Placed{}, true, ErrKeyReused
	}
	return earlier, found, err
}

func (d *Desk) find(ctx context.Context, key Key) (Placed, []byte, bool, error) {
	if !key.given() {
		return Placed{}, nil, false, nil
	}
	row, err := store.New(d.pool).FindKey(ctx, key.hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Placed{}, nil, false, nil
	case err != nil:
		return Placed{}, nil, false, fmt.Errorf("find idempotency key: %w", err)
	}
	total := events.Money{Amount: row.TotalAmount, Currency: row.Currency}
	return Placed{ID: row.OrderID, Number: row.Number, Total: total, Replayed: true}, row.RequestHash, true, nil
}
