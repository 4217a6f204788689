package mailbox_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/mailbox"
)

// listener is whom the webhook tells: it checks the signature and can be away.
type listener struct {
	t      *testing.T
	url    string
	key    string
	public *ecdsa.PublicKey

	mu      sync.Mutex
	status  int
	batches [][]map[string]any
	refused int
}

func listen(t *testing.T) *listener {
	t.Helper()
	key, err := mailbox.NewWebhookKey()
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, key: key, status: http.StatusNoContent}
	text, err := mailbox.PublicKey(l.private())
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	l.public = parsed.(*ecdsa.PublicKey)
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *listener) private() *ecdsa.PrivateKey {
	key, err := mailbox.ParseWebhookKey(l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return key
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status >= 300 {
		l.refused++
		w.WriteHeader(l.status)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Error(err)
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Email-Event-Webhook-Signature"))
	if err != nil {
		l.t.Error(err)
	}
	stamp := r.Header.Get("X-Twilio-Email-Event-Webhook-Timestamp")
	sum := sha256.Sum256(append([]byte(stamp), body...))
	if stamp != fmt.Sprint(noon().Unix()) || !ecdsa.VerifyASN1(l.public, sum[:], signature) {
		l.t.Errorf("a batch at %q is not signed", stamp)
	}
	var events []map[string]any
	if err := json.Unmarshal(body, &events); err != nil || len(events) == 0 {
		l.t.Errorf("batch %s: %v", body, err)
	}
	l.batches = append(l.batches, events)
	w.WriteHeader(l.status)
}

func (l *listener) answer(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

// heard are the kinds of events about an order, each once, in the order in which
// they were told.
func (l *listener) heard(order string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, kinds := map[any]bool{}, []string{}
	for _, event := range slices.Concat(l.batches...) {
		if event["order_id"] == order && !seen[event["sg_event_id"]] {
			seen[event["sg_event_id"]] = true
			kinds = append(kinds, fmt.Sprint(event["event"]))
		}
	}
	return kinds
}

func (l *listener) await(what string, done func() bool) {
	l.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// startTelling is a mailbox with a webhook, in a folder.
func startTelling(t *testing.T, dir string, to *listener) *box {
	t.Helper()
	logs := &strings.Builder{}
	server, err := mailbox.New(mailbox.Options{
		Dir: dir, Key: key, Clock: noon,
		Webhook: mailbox.Webhook{URL: to.url, Key: to.private(), Gather: time.Millisecond, Again: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &box{t, server, web.URL, logs}
}

func (b *box) mustSend(to, order string) string {
	b.t.Helper()
	response, answer := b.send(mail(to, order))
	if response.StatusCode != http.StatusAccepted {
		b.t.Fatalf("send = %d %s", response.StatusCode, answer)
	}
	return response.Header.Get("X-Message-Id")
}

func (b *box) untold() string {
	b.t.Helper()
	_, answer := b.call("GET", "/api/events", "")
	return answer
}

func TestWebhookTellsOfEachMail(t *testing.T) {
	t.Parallel()
	l := listen(t)
	b := startTelling(t, t.TempDir(), l)
	id := b.mustSend("ada@example.com", "o1")
	l.await("the mail is told of", func() bool { return len(l.heard("o1")) == 2 })
	l.await("nothing is left", func() bool { return b.untold() == `{"waiting":0}` })
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.batches[0][0]
	if told["change"] != "order-placed" || !strings.HasPrefix(fmt.Sprint(told["sg_message_id"]), id+".") || told["sg_event_id"] == "" ||
		told["timestamp"] != float64(noon().Unix()) {
		t.Errorf("told %v of mail %s", told, id)
	}
}

func TestFates(t *testing.T) {
	t.Parallel()
	l := listen(t)
	b := startTelling(t, t.TempDir(), l)
	for i, test := range []struct {
		to   string
		want []string
	}{
		{"ada@example.com", []string{"processed", "delivered"}},
		{"bounce@example.com", []string{"processed", "bounce"}},
		{"Bounce@example.com", []string{"dropped"}},
		{"bounce+2@example.com", []string{"processed", "bounce"}},
		{"bounces@example.com", []string{"processed", "delivered"}},
		{"blocked@example.com", []string{"processed", "bounce"}},
		{"blocked@example.com", []string{"processed", "bounce"}},
		{"deferred@example.com", []string{"processed", "deferred", "delivered"}},
	} {
		order := fmt.Sprintf("o%d", i)
		b.mustSend(test.to, order)
		l.await(order+" is told of", func() bool { return len(l.heard(order)) >= len(test.want) })
		if diff := cmp.Diff(test.want, l.heard(order)); diff != "" {
			t.Errorf("mail %d to %s (-want +got):\n%s", i, test.to, diff)
		}
	}
}

// Whoever is away is told later, in order and whole, also when the mailbox was
// started anew meanwhile.
func TestWebhookIsAway(t *testing.T) {
	t.Parallel()
	l, dir := listen(t), t.TempDir()
	l.answer(http.StatusServiceUnavailable)
	first := startTelling(t, dir, l)
	for i := range 5 {
		first.mustSend("ada@example.com", fmt.Sprintf("o%d", i))
	}
	l.await("it is tried again", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.refused > 3 })
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	l.answer(http.StatusNoContent)
	second := startTelling(t, dir, l)
	l.await("nothing is left", func() bool { return second.untold() == `{"waiting":0}` })
	for i := range 5 {
		if got := l.heard(fmt.Sprintf("o%d", i)); !slices.Equal(got, []string{"processed", "delivered"}) {
			t.Errorf("of mail %d is told %q", i, got)
		}
	}
}

// Some batches are told twice, as SendGrid does.
func TestWebhookTellsSomeTwice(t *testing.T) {
	t.Parallel()
	l := listen(t)
	b := startTelling(t, t.TempDir(), l)
	times := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		count := map[any]int{}
		for _, event := range slices.Concat(l.batches...) {
			count[event["sg_event_id"]]++
		}
		most := 0
		for _, n := range count {
			most = max(most, n)
		}
		return most
	}
	for i := range 200 {
		b.mustSend("deferred@example.com", fmt.Sprintf("o%d", i))
		l.await("all is told", func() bool { return len(l.heard(fmt.Sprintf("o%d", i))) == 3 })
		if times() == 2 {
			return
		}
	}
	t.Error("of 600 events none was told twice")
}

func TestWithoutAWebhook(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	b.mustSend("ada@example.com", "o1")
	if got := b.untold(); got != `{"waiting":0}` {
		t.Errorf("kept for nobody: %s", got)
	}
	if _, err := mailbox.New(mailbox.Options{Dir: t.TempDir(), Key: key, Webhook: mailbox.Webhook{URL: "http://127.0.0.1:1"}}); err == nil {
		t.Error("a webhook without a key is taken")
	}
	for _, text := range []string{"", "!", "c2VjcmV0"} {
		if _, err := mailbox.ParseWebhookKey(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseWebhookKey(%q) = %v", text, err)
		}
	}
}
