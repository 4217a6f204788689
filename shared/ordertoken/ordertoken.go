// Package ordertoken derives the token that lets its holder see one order and
// cancel it. A token is made from the order's id and a secret key, so it is
// never stored and can't be read from a copy of the database; whoever writes a
// link to an order (the storefront, a mail) derives it again.
package ordertoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/google/uuid"
)

// MinKeyLength is the least number of bytes of a key.
const MinKeyLength = 32

// ErrShortKey is returned for a key that could be guessed.
var ErrShortKey = errors.New("order token key: shorter than 32 bytes")

// Key makes and checks the tokens of orders. The zero value is of no use: take
// one from New.
type Key struct {
	secret []byte
}

// New returns the key made of secret, at least MinKeyLength bytes.
func New(secret string) (Key, error) {
	if len(secret) < MinKeyLength {
		return Key{}, ErrShortKey
	}
	return Key{secret: []byte(secret)}, nil
}

// Derive returns the token of an order: 43 characters that are safe in a URL.
func (k Key) Derive(orderID uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(k.sum(orderID))
}

// Verify tells whether token is the order's. It takes as long for a wrong token
// as for the right one. A key without a secret verifies nothing.
func (k Key) Verify(orderID uuid.UUID, token string) bool {
	if len(token) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return false // the decoder skips line breaks
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(k.secret) == 0 {
		return false
	}
	return hmac.Equal(got, k.sum(orderID))
}

func (k Key) sum(orderID uuid.UUID) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("order:" + orderID.String()))
	return mac.Sum(nil)
}

// String keeps the secret out of logs.
func (Key) String() string { return "***" }

// GoString keeps the secret out of logs.
func (Key) GoString() string { return "***" }
