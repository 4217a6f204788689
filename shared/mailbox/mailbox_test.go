package mailbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/mailbox"
)

const key = "SG.a key for tests"

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

type box struct {
	t      testing.TB
	server *mailbox.Server
	url    string
	logs   *strings.Builder
}

func start(t testing.TB, dir string) *box {
	t.Helper()
	logs := &strings.Builder{}
	server, err := mailbox.New(mailbox.Options{
		Dir: dir, Key: key, Clock: noon, Faults: true, Logger: slog.New(slog.NewTextHandler(logs, nil)),
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

// call sends a request with any headers, "Name: value".
func (b *box) call(method, path, body string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(answer)
}

func (b *box) send(body string) (*http.Response, string) {
	b.t.Helper()
	return b.call("POST", "/v3/mail/send", body, "Authorization: Bearer "+key, "Content-Type: application/json")
}

type list struct {
	Messages []mailbox.Message
	Next     string
}

func (b *box) list(query string) list {
	b.t.Helper()
	resp, answer := b.call("GET", "/api/messages"+query, "")
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("list %s = %d %s", query, resp.StatusCode, answer)
	}
	var l list
	if err := json.Unmarshal([]byte(answer), &l); err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (l list) ids() string {
	var ids []string
	for _, m := range l.Messages {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

// mail is a good mail to somebody about an order.
func mail(to, order string) string {
	return fmt.Sprintf(`{"personalizations":[{"to":[{"email":%q,"name":"Ada"}],"custom_args":{"order_id":%q}}],
		"from":{"email":"shop@example.com","name":"Shop"},"subject":"Order placed","custom_args":{"change":"order-placed"},
		"content":[{"type":"text/plain","value":"Thank you"},{"type":"text/html","value":"<p>Thank you</p>"}]}`, to, order)
}

func TestMailIsAcceptedAndKept(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	resp, answer := b.send(mail("ada@example.com", "o1"))
	id := resp.Header.Get("X-Message-Id")
	if resp.StatusCode != http.StatusAccepted || id == "" || answer != "" {
		t.Fatalf("send = %d %q, X-Message-Id %q", resp.StatusCode, answer, id)
	}
	want := []mailbox.Message{{
		ID: "1", MessageID: id, From: mailbox.Address{Email: "shop@example.com", Name: "Shop"},
		To:      []mailbox.Address{{Email: "ada@example.com", Name: "Ada"}},
		Subject: "Order placed", Text: "Thank you", HTML: "<p>Thank you</p>",
		CustomArgs: map[string]string{"order_id": "o1", "change": "order-placed"}, ReceivedAt: noon(),
	}}
	if diff := cmp.Diff(want, b.list("").Messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if _, answer := b.call("GET", "/api/messages/1", ""); !strings.Contains(answer, id) {
		t.Errorf("message 1 = %s", answer)
	}
	for _, missing := range []string{"2", "x", "-1", "99999999999999999999"} {
		if resp, _ := b.call("GET", "/api/messages/"+missing, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("message %s = %d, want 404", missing, resp.StatusCode)
		}
	}
}

func TestPersonalizations(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	resp, answer := b.send(`{"from":{"email":"shop@example.com"},"reply_to":{"email":"help@example.com"},"content":[{"type":"text/html","value":"x"}],
		"categories":["a"],"headers":{"X-A":"1"},"attachments":[{"content":"aGk=","filename":"hi.txt"}],"personalizations":[
		{"to":[{"email":"a@example.com"}],"subject":"one"},
		{"to":[{"email":"b@example.com"}],"cc":[{"email":"c@example.com"}],"bcc":[{"email":"D@example.com"}],"subject":"two",
		 "from":{"email":"other@example.com"},"headers":{"X-A":"2"}}]}`)
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("send = %d %s", resp.StatusCode, answer)
	}
	got := b.list("").Messages
	if len(got) != 2 || got[0].Subject != "two" || got[0].From.Email != "other@example.com" || got[0].Headers["X-A"] != "2" ||
		got[1].Headers["X-A"] != "1" || got[1].ReplyTo[0].Email != "help@example.com" || got[1].Attachments[0].Filename != "hi.txt" {
		t.Errorf("messages = %+v", got)
	}
	for _, to := range []string{"b@example.com", "c@example.com", "d@EXAMPLE.com"} {
		if ids := b.list("?to=" + to).ids(); ids != "2" {
			t.Errorf("messages to %s = %q, want 2", to, ids)
		}
	}
}

func TestListIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	for i := range 6 {
		b.send(mail(fmt.Sprintf("p%d@example.com", i%2), fmt.Sprintf("o%d", i%3)))
	}
	tests := map[string]struct{ ids, next string }{
		"":                                 {"6 5 4 3 2 1", ""},
		"?limit=4":                         {"6 5 4 3", "3"},
		"?limit=4&before=3":                {"2 1", ""},
		"?limit=2&before=3":                {"2 1", ""},
		"?before=1":                        {"", ""},
		"?before=1000":                     {"6 5 4 3 2 1", ""},
		"?limit=0":                         {"6", "6"},
		"?to=p1@example.com":               {"6 4 2", ""},
		"?to=p1@example.com&limit=1":       {"6", "6"},
		"?to=p1@example.com&before=6":      {"4 2", ""},
		"?order=o0":                        {"4 1", ""},
		"?order=o2":                        {"6 3", ""},
		"?order=o2&before=6":               {"3", ""},
		"?order=o0&to=p0@example.com":      {"1", ""},
		"?order=o":                         {"", ""},
		"?to=nobody@example.com":           {"", ""},
		"?to=" + strings.Repeat("x", 4000): {"", ""},
	}
	for query, want := range tests {
		got := b.list(query)
		if got.ids() != want.ids || got.Next != want.next {
			t.Errorf("list %s = %q next %q, want %q next %q", query, got.ids(), got.Next, want.ids, want.next)
		}
	}
	for _, query := range []string{"?before=x", "?limit=x"} {
		if resp, _ := b.call("GET", "/api/messages"+query, ""); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("list %s = %d, want 400", query, resp.StatusCode)
		}
	}
}

func TestClearKeepsCounting(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	b.send(mail("ada@example.com", "o1"))
	if resp, _ := b.call("DELETE", "/api/messages", "", "Sec-Fetch-Site: cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("delete by a page from elsewhere = %d, want 403", resp.StatusCode)
	}
	if resp, _ := b.call("DELETE", "/api/messages", ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("delete = %d, want 204", resp.StatusCode)
	}
	for _, query := range []string{"", "?to=ada@example.com", "?order=o1"} {
		if ids := b.list(query).ids(); ids != "" {
			t.Errorf("list %s after delete = %q", query, ids)
		}
	}
	b.send(mail("ada@example.com", "o2"))
	if ids := b.list("?to=ada@example.com").ids(); ids != "2" {
		t.Errorf("ids = %q, want 2", ids)
	}
}

func TestMailSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	first.send(mail("ada@example.com", "o1"))
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, _ := first.send(mail("ada@example.com", "o2")); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("send after close = %d, want 503", resp.StatusCode)
	}
	if strings.Contains(first.logs.String(), "ada") {
		t.Errorf("logs tell of a person: %s", first.logs)
	}
	if ids := start(t, dir).list("?order=o1").ids(); ids != "1" {
		t.Errorf("ids after restart = %q, want 1", ids)
	}
}

func TestManySendersAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if resp, answer := b.send(mail(fmt.Sprintf("p%d@example.com", i), "o1")); resp.StatusCode != http.StatusAccepted {
				t.Errorf("send = %d %s", resp.StatusCode, answer)
			}
		})
	}
	wg.Wait()
	if got := len(b.list("?limit=500").Messages); got != 100 {
		t.Errorf("messages = %d, want 100", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	auth := "Authorization: Bearer " + key
	if resp, answer := b.call("PUT", "/faults", `{"before":{"status":429,"count":1},"after":{"status":500,"count":1}}`, auth); resp.StatusCode != 200 {
		t.Fatalf("arm = %d %s", resp.StatusCode, answer)
	}
	if resp, _ := b.call("GET", "/faults", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("faults without a key = %d, want 401", resp.StatusCode)
	}
	resp, answer := b.send(mail("ada@example.com", "o1"))
	if resp.StatusCode != 429 || resp.Header.Get("X-RateLimit-Reset") != fmt.Sprint(noon().Unix()+1) || !strings.Contains(answer, "too many requests") {
		t.Errorf("first = %d %v %s, want 429 with X-RateLimit-Reset", resp.StatusCode, resp.Header, answer)
	}
	if resp, _ := b.send(mail("ada@example.com", "o1")); resp.StatusCode != 500 {
		t.Errorf("second = %d, want 500", resp.StatusCode)
	}
	if ids := b.list("").ids(); ids != "1" {
		t.Errorf("messages = %q, want the one that was accepted in silence", ids)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := mailbox.New(mailbox.Options{Dir: dir}); err == nil {
		t.Error("no key: no error")
	}
	server, err := mailbox.New(mailbox.Options{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mailbox.New(mailbox.Options{Dir: dir, Key: key}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second mailbox on the folder: %v, want in use", err)
	}
	for path, want := range map[string]int{"/faults": 404, "/healthz": 204} {
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if recorder.Code != want {
			t.Errorf("GET %s = %d, want %d", path, recorder.Code, want)
		}
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/", "/api/messages", "/api/messages/1"} {
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if recorder.Code != http.StatusServiceUnavailable {
			t.Errorf("GET %s when closed = %d, want 503", path, recorder.Code)
		}
	}
}
