package function_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"go.uber.org/goleak"

	function "github.com/orderflow-project/orderflow/functions/provider-webhooks"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// signer is SendGrid, or who would like to be.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(tb testing.TB) signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return signer{key}
}

// public is the key as SendGrid shows it.
func (s signer) public(tb testing.TB) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func (s signer) sign(tb testing.TB, body []byte, at time.Time) http.Header {
	tb.Helper()
	stamp := strconv.FormatInt(at.Unix(), 10)
	sum := sha256.Sum256(append([]byte(stamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	header := http.Header{}
	header.Set(eventwebhook.VerificationHTTPHeader, base64.StdEncoding.EncodeToString(signature))
	header.Set(eventwebhook.TimestampHTTPHeader, stamp)
	return header
}

const (
	// nowhere refuses connections.
	nowhere = "http://127.0.0.1:1"
	secret  = "whsec_of_tests"
)

// world is the function, running, with a database and a SendGrid of its own.
type world struct {
	tb       testing.TB
	pool     *pgxpool.Pool
	sendgrid signer
	url      string
}

func start(tb testing.TB, settings map[string]string) *world {
	tb.Helper()
	w := &world{tb: tb, pool: postgrestest.New(tb), sendgrid: newSigner(tb)}
	variables := map[string]string{
		"DATABASE_URL": w.pool.Config().ConnString(), "SENDGRID_WEBHOOK_KEY": w.sendgrid.public(tb),
		"PAYMENT_PROVIDER_URL": nowhere, "PAYMENT_PROVIDER_KEY": "key", "STRIPE_WEBHOOK_SECRET": secret,
	}
	maps.Copy(variables, settings)
	w.url = stagetest.Run(tb, function.New(), variables)
	return w
}

func (w *world) post(path string, header http.Header, body io.Reader) *http.Response {
	w.tb.Helper()
	request, err := http.NewRequestWithContext(w.tb.Context(), http.MethodPost, w.url+path, body)
	if err != nil {
		w.tb.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.tb.Fatal(err)
	}
	response.Body.Close()
	return response
}

// deliver posts a batch as SendGrid does, and returns the status.
func (w *world) deliver(events ...any) int {
	w.tb.Helper()
	body := batch(w.tb, events...)
	return w.post("/sendgrid", w.sendgrid.sign(w.tb, body, time.Now()), bytes.NewReader(body)).StatusCode
}

func (w *world) mustDeliver(events ...any) {
	w.tb.Helper()
	if status := w.deliver(events...); status != http.StatusNoContent {
		w.tb.Fatalf("a batch is answered %d, want 204", status)
	}
}

func batch(tb testing.TB, events ...any) []byte {
	tb.Helper()
	body, err := json.Marshal(events)
	if err != nil {
		tb.Fatal(err)
	}
	return append(body, "\r\n"...)
}

type object = map[string]any

const messageID = "LRzXl_NHStOGhQ4kofSm_A"

// told is an event of a mail, with all that SendGrid writes into one.
func told(order stagetest.Order, kind, id string, more object) object {
	event := object{
		"email": "ada@example.com", "timestamp": 1_795_000_000, "event": kind, "sg_event_id": id,
		"sg_message_id": messageID + ".recvd-5f7c8b-x9k2p-1-66A1B2C3-1.0", "smtp-id": "<abc@geopod-ismtpd-1>",
		"category": []string{"order-placed"}, "order_id": order.ID.String(), "change": "order-placed",
		"ip": "192.0.2.7", "response": "250 2.0.0 OK ada@example.com", "tls": 1, "attempt": "1",
	}
	maps.Copy(event, more)
	return event
}

// kept is what is on record about a mail, by id.
func (w *world) kept() []string {
	w.tb.Helper()
	rows, err := w.pool.Query(w.tb.Context(), `select sg_event_id, change, kind, message_id, reason, at from mail_events order by sg_event_id`)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer rows.Close()
	lines := []string{}
	for rows.Next() {
		var id, change, kind, message, reason string
		var at time.Time
		if err := rows.Scan(&id, &change, &kind, &message, &reason, &at); err != nil {
			w.tb.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s %d [%s]", id, change, kind, message, at.Unix(), reason))
	}
	return lines
}
