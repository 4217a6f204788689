package ordertoken_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/shared/ordertoken"
)

// FuzzVerify tries tokens. Of each order there is one, written in one way.
func FuzzVerify(f *testing.F) {
	key, err := ordertoken.New(strings.Repeat("k", ordertoken.MinKeyLength))
	if err != nil {
		f.Fatal(err)
	}
	id := uuid.MustParse("019a0000-0000-7000-8000-000000000000")
	token := key.Derive(id)
	for _, text := range []string{"", token, token + "=", token + "\n", token[:42], token + "A", strings.ToLower(token), token[:42] + "_", strings.Replace(token, "-", "+", 1), "\xff", strings.Repeat("A", 43)} {
		f.Add(id[:], text)
	}
	f.Fuzz(func(t *testing.T, raw []byte, token string) {
		id, err := uuid.FromBytes(raw)
		if err != nil {
			return
		}
		if key.Verify(id, token) != (token == key.Derive(id)) {
			t.Errorf("Verify(%s, %q) = %t", id, token, key.Verify(id, token))
		}
	})
}
