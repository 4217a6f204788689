package stripe

import (
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"
)

// FuzzTake holds that nothing is taken for Stripe's that isn't signed, and that
// whatever Stripe may sign becomes a row that Postgres takes, without a sentence in it.
func FuzzTake(f *testing.F) {
	for _, body := range []string{
		`{"id":"evt_1","object":"event","type":"payment_intent.canceled","created":1795000000,"data":{"object":{"id":"pi_1","status":"canceled","cancellation_reason":"automatic","amount":3300,"currency":"eur","metadata":{"order_id":"0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70"}}}}`,
		`{"id":"evt_2","object":"event","type":"charge.dispute.created","created":1,"data":{"object":{"payment_intent":{"id":"pi_1"},"reason":"ada@example.com"}}}`,
		`{"id":"evt_3","object":"event","type":"charge.refunded","created":-1,"data":{"object":null}}`,
		`{"object":"event","data":{}}`, `{}`, `[]`, `null`, "\x00",
	} {
		f.Add([]byte(body), "t=1795000000,v1=00")
	}
	hook := &Hook{Secrets: []string{"whsec_one", "whsec_two"}}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		if _, err := hook.verify(header, body); err == nil {
			t.Fatalf("taken for Stripe's: %q by %q", body, header)
		}
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: "whsec_two", Timestamp: time.Now()})
		event, err := hook.verify(signed.Header, body)
		if err != nil {
			return
		}
		told, ours := read(event)
		if !ours {
			return
		}
		text := strings.Join([]string{told.id, told.kind, told.provider, told.status, told.reason, told.currency}, "")
		if strings.ContainsAny(text, "@\x00 ") || told.id == "" || told.provider == "" || told.amount < 0 || told.at.Year() > 9999 {
			t.Errorf("%q becomes %+v", body, told)
		}
	})
}
