package sendgrid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
)

const (
	// maxAge is how old a signature may be. SendGrid tries for 24 hours, and doesn't
	// say whether it signs anew each time. What is played to us again within that
	// time tells nothing new: an event has its id.
	maxAge = 25 * time.Hour
	// maxAhead is for clocks that differ.
	maxAhead = 15 * time.Minute
	// maxSignature is more than an ECDSA signature of this curve has, in Base64.
	maxSignature = 200
)

// Keys are the public keys that deliveries may be signed by: SendGrid's, and for
// a while the one before it.
type Keys []*ecdsa.PublicKey

// ParseKeys reads keys as SendGrid shows them, in Base64, separated by spaces or
// commas. None at all is fine. An error doesn't repeat a key.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }) {
		key, err := parseKey(one)
		if err != nil {
			return nil, fmt.Errorf("environment: SENDGRID_WEBHOOK_KEY: key %d %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseKey reads one key. The helper's own function for it panics on a key of
// another kind, as RSA.
func parseKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("isn't in Base64, as SendGrid shows it")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, is := parsed.(*ecdsa.PublicKey)
	if err != nil || !is || key.Curve != elliptic.P256() {
		return nil, errors.New("isn't a public key of the kind that SendGrid signs by")
	}
	return key, nil
}

// verify tells whether a delivery is signed by one of the keys, and lately.
func (k Keys) verify(header http.Header, body []byte, now time.Time) error {
	signature, stamp := header.Get(eventwebhook.VerificationHTTPHeader), header.Get(eventwebhook.TimestampHTTPHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(signature) > maxSignature {
		return hook.ErrForged
	}
	for _, key := range k {
		if signed(key, body, signature, stamp) {
			return fresh(now.Sub(time.Unix(seconds, 0)))
		}
	}
	return hook.ErrForged
}

func signed(key *ecdsa.PublicKey, body []byte, signature, stamp string) bool {
	valid, err := eventwebhook.VerifySignature(key, body, signature, stamp)
	return valid && err == nil
}

func fresh(age time.Duration) error {
	if age > maxAge || age < -maxAhead {
		return fmt.Errorf("%w: %s old", hook.ErrForged, age.Round(time.Second))
	}
	return nil
}
