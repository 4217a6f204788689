package ordertoken_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
)

const secret = "a secret of at least thirty-two bytes"

func Example() {
	key, err := ordertoken.New("0123456789abcdef0123456789abcdef")
	if err != nil {
		fmt.Println(err)
		return
	}
	order := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	token := key.Derive(order)
	fmt.Println(len(token), key.Verify(order, token), key.Verify(uuid.Max, token))
	// Output: 43 true false
}

func TestDerive(t *testing.T) {
	t.Parallel()
	key, order := newKey(t, secret), uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")

	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("order:01890a5d-ac96-774b-bcce-b302099a8057"))
	want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))

	if got := key.Derive(order); got != want {
		t.Errorf("Derive(%s) = %s, want %s: tokens in mails already sent would stop working", order, got, want)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	key, order := newKey(t, secret), uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	token := key.Derive(order)
	other := newKey(t, strings.ToUpper(secret))

	tests := map[string]struct {
		key   ordertoken.Key
		token string
		want  bool
	}{
		"right":            {key, token, true},
		"empty":            {key, "", false},
		"not base64":       {key, "!" + token[1:], false},
		"padded":           {key, token + "=", false},
		"longer":           {key, token + "A", false},
		"shorter":          {key, token[:42], false},
		"of another order": {key, key.Derive(uuid.Max), false},
		"of another key":   {other, token, false},
		"of no key":        {ordertoken.Key{}, ordertoken.Key{}.Derive(order), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.key.Verify(order, test.token); got != test.want {
				t.Errorf("Verify(%s, %q) = %t, want %t", order, test.token, got, test.want)
			}
		})
	}
}

func TestNewRefusesAShortKey(t *testing.T) {
	t.Parallel()
	if _, err := ordertoken.New(strings.Repeat("k", 31)); !errors.Is(err, ordertoken.ErrShortKey) {
		t.Errorf("New(31 bytes) = %v, want %v", err, ordertoken.ErrShortKey)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	key := newKey(t, secret)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, key); got != "***" {
			t.Errorf("Sprintf(%s) = %s, want ***", format, got)
		}
	}
}

func newKey(t *testing.T, secret string) ordertoken.Key {
	t.Helper()
	key, err := ordertoken.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
