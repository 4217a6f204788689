package function_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/provider-webhooks"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestEvidenceIsKept(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	bounced := "550 5.1.1 The email account ada@example.com does not exist"
	w.mustDeliver(
		told(order, "processed", "e1", nil),
		told(order, "deferred", "e2", object{"reason": "421 try later, ada@example.com", "timestamp": 1_795_000_009}),
		told(order, "delivered", "e3", object{"change": "order-shipped"}),
		told(order, "bounce", "e4", object{"type": "bounce", "status": "5.1.1", "reason": bounced, "bounce_classification": "Invalid Address"}),
		told(order, "bounce", "e5", object{"type": "blocked", "status": "4.7.1", "reason": bounced, "bounce_classification": "ada@example.com"}),
		told(order, "dropped", "e6", object{"reason": "Bounced Address"}),
		told(order, "dropped", "e7", object{"reason": bounced, "status": "not a code"}),
		told(order, "spamreport", "e8", nil),
		told(order, "open", "e9", nil), told(order, "click", "e10", nil), told(order, "group_unsubscribe", "e11", nil),
		told(order, "a kind of next year", "e12", nil),
	)
	of := func(id, rest string) string { return id + " " + rest }
	want := []string{
		of("e1", "order-placed processed "+messageID+" 1795000000 []"),
		of("e2", "order-placed deferred "+messageID+" 1795000009 []"),
		of("e3", "order-shipped delivered "+messageID+" 1795000000 []"),
		of("e4", "order-placed bounce "+messageID+" 1795000000 [5.1.1 Invalid Address]"),
		of("e5", "order-placed blocked "+messageID+" 1795000000 [4.7.1]"),
		of("e6", "order-placed dropped "+messageID+" 1795000000 [Bounced Address]"),
		of("e7", "order-placed dropped "+messageID+" 1795000000 []"),
		of("e8", "order-placed spamreport "+messageID+" 1795000000 []"),
	}
	if diff := cmp.Diff(want, w.kept()); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	var personal int
	if err := w.pool.QueryRow(t.Context(), `select count(*) from mail_events e where e::text ~* 'ada|@|192\.0\.2'`).Scan(&personal); err != nil || personal > 0 {
		t.Errorf("%d rows have personal data in them (%v)", personal, err)
	}
}

// Whoever isn't SendGrid, or comes with what SendGrid said long ago, is turned away
// before anything is believed.
func TestForged(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	body := batch(t, told(order, "delivered", "e1", nil))
	now := time.Now()
	with := func(name, value string) http.Header {
		header := w.sendgrid.sign(t, body, now)
		header.Set(name, value)
		return header
	}
	const signature, stamp = eventwebhook.VerificationHTTPHeader, eventwebhook.TimestampHTTPHeader
	encode := base64.StdEncoding.EncodeToString
	for name, test := range map[string]struct {
		header http.Header
		body   []byte
	}{
		"not signed":               {http.Header{}, body},
		"signed by another":        {newSigner(t).sign(t, body, now), body},
		"another body":             {w.sendgrid.sign(t, body, now), bytes.Replace(body, []byte("delivered"), []byte("bounce"), 1)},
		"truncated":                {w.sendgrid.sign(t, body, now), body[:len(body)/2]},
		"without its last bytes":   {w.sendgrid.sign(t, body, now), bytes.TrimSpace(body)},
		"empty":                    {w.sendgrid.sign(t, body, now), nil},
		"another time":             {with(stamp, fmt.Sprint(now.Unix()+1)), body},
		"no time":                  {with(stamp, ""), body},
		"no number for a time":     {with(stamp, "now"), body},
		"stale":                    {w.sendgrid.sign(t, body, now.Add(-26*time.Hour)), body},
		"from the future":          {w.sendgrid.sign(t, body, now.Add(time.Hour)), body},
		"no signature":             {with(signature, ""), body},
		"no Base64":                {with(signature, "!"), body},
		"no ASN.1":                 {with(signature, encode([]byte("signature"))), body},
		"numbers left out":         {with(signature, encode([]byte{0x30, 0})), body},
		"zeros":                    {with(signature, encode([]byte{0x30, 6, 2, 1, 0, 2, 1, 0})), body},
		"a signature without end":  {with(signature, strings.Repeat("A", 100_000)), body},
		"signature and time apart": {with(stamp, fmt.Sprintf("%d%s", now.Unix(), body[:1])), body[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := w.post("/sendgrid", test.header, bytes.NewReader(test.body)).StatusCode; got != http.StatusForbidden {
				t.Errorf("it is answered %d, want 403", got)
			}
			if kept := w.kept(); len(kept) > 0 {
				t.Errorf("it is believed: %q", kept)
			}
		})
	}
}

// While SendGrid's key is changed, both are good.
func TestTwoKeys(t *testing.T) {
	t.Parallel()
	before, after := newSigner(t), newSigner(t)
	w := start(t, map[string]string{"SENDGRID_WEBHOOK_KEY": before.public(t) + " " + after.public(t)})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	for i, signer := range []signer{before, after} {
		body := batch(t, told(order, "delivered", fmt.Sprintf("e%d", i), nil))
		if got := w.post("/sendgrid", signer.sign(t, body, time.Now()), bytes.NewReader(body)).StatusCode; got != http.StatusNoContent {
			t.Errorf("a batch by key %d is answered %d", i+1, got)
		}
	}
	if kept := w.kept(); len(kept) != 2 {
		t.Errorf("on record: %q", kept)
	}
}

// What is delivered again, alone or in another batch, also at the same time, is no
// second event. Whoever plays an old delivery to us tells nothing new.
func TestReplayed(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	first, second := told(order, "processed", "e1", nil), told(order, "delivered", "e2", nil)
	body := batch(t, first, second, first)
	header := w.sendgrid.sign(t, body, time.Now().Add(-24*time.Hour))
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if i%2 == 0 {
				w.mustDeliver(second, first)
				return
			}
			if got := w.post("/sendgrid", header, bytes.NewReader(body)).StatusCode; got != http.StatusNoContent {
				t.Errorf("played again, it is answered %d", got)
			}
		})
	}
	group.Wait()
	if kept := w.kept(); len(kept) != 2 {
		t.Errorf("on record: %q", kept)
	}
}

// What can't be used keeps nothing else of its batch from being taken, and isn't
// asked for again.
func TestOneBadElement(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	unknown := stagetest.Order{ID: uuid.New()}
	w.mustDeliver(
		told(order, "processed", "e1", nil),
		nil, "a text", 7, []any{}, object{}, object{"event": 5}, object{"event": "delivered"},
		told(unknown, "delivered", "of an order that nobody knows", nil), told(unknown, "delivered", "e-unknown", nil),
		told(order, "delivered", "", nil), told(order, "delivered", "e\x00", nil), told(order, "delivered", strings.Repeat("e", 300), nil),
		told(order, "delivered", "b1", object{"sg_message_id": ""}), told(order, "delivered", "b2", object{"sg_message_id": ".recvd"}),
		told(order, "delivered", "b3", object{"timestamp": "yesterday"}), told(order, "delivered", "b4", object{"timestamp": -1}),
		told(order, "delivered", "b5", object{"timestamp": int64(1) << 60}), told(order, "delivered", "b6", object{"order_id": "o1"}),
		told(order, "delivered", "b7", object{"change": "newsletter"}), told(order, "delivered", "b8", object{"change": nil}),
		told(order, "delivered", "e2", nil),
	)
	if kept := w.kept(); len(kept) != 2 || !strings.HasPrefix(kept[0], "e1 ") || !strings.HasPrefix(kept[1], "e2 ") {
		t.Errorf("on record: %q", kept)
	}
}

func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	for _, kind := range []string{"delivered", "deferred", "processed"} {
		w.mustDeliver(told(order, kind, "e-"+kind, nil))
	}
	if kept := w.kept(); len(kept) != 3 {
		t.Errorf("on record: %q", kept)
	}
}

func TestSignedButNoBatch(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, text := range []string{`{}`, `"x"`, `[`, `[{"event":"x"}`, "\x00", ``, `[]]`} {
		body := []byte(text)
		if got := w.post("/sendgrid", w.sendgrid.sign(t, body, time.Now()), bytes.NewReader(body)).StatusCode; got != http.StatusBadRequest {
			t.Errorf("%q is answered %d, want 400", text, got)
		}
	}
	if status := w.deliver(); status != http.StatusNoContent { // null is an empty batch
		t.Errorf("an empty batch is answered %d", status)
	}
}

func TestOversized(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	body := batch(t, told(order, "delivered", "e1", object{"x": strings.Repeat("x", 1<<20)}))
	for name, reader := range map[string]io.Reader{"by its length": bytes.NewReader(body), "in chunks": io.MultiReader(bytes.NewReader(body))} {
		if got := w.post("/sendgrid", w.sendgrid.sign(t, body, time.Now()), reader).StatusCode; got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, it is answered %d, want 413", name, got)
		}
	}
	var large []any
	for i := range 1800 { // a batch as large as SendGrid's largest
		large = append(large, told(order, "delivered", fmt.Sprintf("e%d", i), nil))
	}
	w.mustDeliver(large...)
	if kept := len(w.kept()); kept != 1800 {
		t.Errorf("%d events on record, want 1800", kept)
	}
}

// SendGrid is to come again when the database is back: then nothing is lost, also
// where it had been written down and only the answer got lost.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	body := batch(t, told(order, "delivered", "e1", nil))
	down := &world{tb: t, sendgrid: w.sendgrid, url: stagetest.Run(t, function.New(), map[string]string{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "SENDGRID_WEBHOOK_KEY": w.sendgrid.public(t),
		"PAYMENT_PROVIDER_URL": nowhere, "PAYMENT_PROVIDER_KEY": "key",
	})}
	header := w.sendgrid.sign(t, body, time.Now())
	response := down.post("/sendgrid", header.Clone(), bytes.NewReader(body))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("without a database it is answered %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	for range 2 {
		if got := w.post("/sendgrid", header.Clone(), bytes.NewReader(body)).StatusCode; got != http.StatusNoContent {
			t.Errorf("later it is answered %d", got)
		}
	}
	if kept := w.kept(); len(kept) != 1 {
		t.Errorf("on record: %q", kept)
	}
}

// A stranger finds nothing here, and where a provider isn't set up, nothing of it is.
func TestNothingForStrangers(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	bare := start(t, map[string]string{"SENDGRID_WEBHOOK_KEY": ""})
	for _, test := range []struct {
		w            *world
		method, path string
		want         int
	}{
		{w, http.MethodGet, "/", http.StatusNoContent}, {w, http.MethodPost, "/", http.StatusNotFound},
		{w, http.MethodGet, "/sendgrid", http.StatusMethodNotAllowed}, {w, http.MethodPut, "/sendgrid", http.StatusMethodNotAllowed},
		{w, http.MethodPost, "/sendgrid/x", http.StatusNotFound}, {w, http.MethodPost, "/stripe", http.StatusNotFound},
		{bare, http.MethodPost, "/sendgrid", http.StatusNotFound}, {bare, http.MethodGet, "/sendgrid", http.StatusNotFound},
		{bare, http.MethodGet, "/", http.StatusNoContent}, {bare, http.MethodGet, "/x", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, test.w.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		says := http.StatusText(test.want) + "\n"
		if test.want == http.StatusNoContent {
			says = ""
		}
		if response.StatusCode != test.want || string(body) != says {
			t.Errorf("%s %s: %d %q, want %d and no more", test.method, test.path, response.StatusCode, body, test.want)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	good := newSigner(t).public(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no Base64": "secret!", "no key": base64.StdEncoding.EncodeToString([]byte("secret")), "RSA": base64.StdEncoding.EncodeToString(der), "one of two": good + ",secret",
	} {
		f := function.New()
		if err := f.Start(t.Context(), map[string]string{
			"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "SENDGRID_WEBHOOK_KEY": text,
			"PAYMENT_PROVIDER_URL": nowhere, "PAYMENT_PROVIDER_KEY": "key",
		}); err != nil {
			t.Fatal(err)
		}
		_, err := f.Ready(t.Context())
		if err == nil || !strings.Contains(err.Error(), "SENDGRID_WEBHOOK_KEY") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Ready() = %v, want the setting's name and not its value", name, err)
		}
		if err := f.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
