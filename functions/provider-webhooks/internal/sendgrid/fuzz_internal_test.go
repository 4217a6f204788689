package sendgrid

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
)

// FuzzVerify holds that nothing is taken for SendGrid's but what SendGrid signed,
// and that nothing makes the check fall over.
func FuzzVerify(f *testing.F) {
	keys, err := ParseKeys(theirKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(theirBody), theirSignature, theirStamp)
	f.Add([]byte(theirBody), "MAA=", theirStamp)
	f.Add([]byte(theirBody), "MAYCAQACAQA=", theirStamp)
	f.Add([]byte(nil), "", "")
	f.Add([]byte("2[]"), theirSignature, "160011250")
	f.Fuzz(func(t *testing.T, body []byte, signature, stamp string) {
		header := http.Header{eventwebhook.VerificationHTTPHeader: {signature}, eventwebhook.TimestampHTTPHeader: {stamp}}
		taken := keys.verify(header, body, time.Unix(1_600_112_502, 0)) == nil
		// Another encoding of the same signature is as good, and of no use to anybody.
		if theirs := string(body) == theirBody && stamp == theirStamp; taken && !theirs {
			t.Errorf("taken for SendGrid's: %q at %q", body, stamp)
		}
	})
}

// FuzzRead holds that whatever SendGrid may write becomes a row that Postgres
// takes, and has no address in it.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		theirBody, `{}`, `null`, `{"event":"bounce","type":"blocked"}`,
		`{"event":"delivered","sg_event_id":"e","sg_message_id":"m.recvd","timestamp":1,"order_id":"0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70","change":"order-placed"}`,
		`{"event":"bounce","reason":"ada@example.com","status":"5.1.1","sg_event_id":"e","sg_message_id":"m","timestamp":1,"order_id":"0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70","change":"order-placed"}`,
		`{"event":"delivered","timestamp":1e400}`, `{"event":"delivered\u0000"}`,
	} {
		f.Add([]byte(text))
	}
	kinds := "processed deferred delivered bounce blocked dropped spamreport"
	f.Fuzz(func(t *testing.T, element []byte) {
		if !json.Valid(element) {
			return
		}
		e, is := read(element)
		if is != ours {
			return
		}
		text := strings.Join([]string{e.id, e.change, e.kind, e.messageID, e.reason}, " ")
		if strings.ContainsAny(text, "@\x00") || e.messageID == "" || e.id == "" || !strings.Contains(kinds, e.kind) || e.at.Year() > 9999 {
			t.Errorf("%q becomes %+v", element, e)
		}
	})
}
