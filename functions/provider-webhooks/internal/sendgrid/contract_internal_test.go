package sendgrid

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
)

// What SendGrid itself has signed: the example of its library's tests, by a key of
// theirs.
const (
	theirKey       = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
	theirSignature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
	theirStamp     = "1600112502"
	theirBody      = `[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]` + "\r\n"
)

func TestWhatSendGridSigned(t *testing.T) {
	t.Parallel()
	keys, err := ParseKeys(theirKey)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set(eventwebhook.VerificationHTTPHeader, theirSignature)
	header.Set(eventwebhook.TimestampHTTPHeader, theirStamp)
	signed := time.Unix(1_600_112_502, 0)
	for name, test := range map[string]struct {
		body string
		now  time.Time
		good bool
	}{
		"as it was":        {theirBody, signed, true},
		"a day later":      {theirBody, signed.Add(24 * time.Hour), true},
		"our clock behind": {theirBody, signed.Add(-10 * time.Minute), true},
		"two days later":   {theirBody, signed.Add(48 * time.Hour), false},
		"an hour before":   {theirBody, signed.Add(-time.Hour), false},
		"without its CRLF": {theirBody[:len(theirBody)-2], signed, false},
	} {
		if err := keys.verify(header, []byte(test.body), test.now); (err == nil) != test.good || (err != nil && !errors.Is(err, hook.ErrForged)) {
			t.Errorf("%s: verify() = %v, want good = %t", name, err, test.good)
		}
	}
	if got := messageOf("LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0"); got != "LRzXl_NHStOGhQ4kofSm_A" {
		t.Errorf("the mail's id is read as %q", got)
	}
	if got := messageOf("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"); got != "14c5d75ce93.dfd.64b469" {
		t.Errorf("the mail's id is read as %q", got)
	}
}
