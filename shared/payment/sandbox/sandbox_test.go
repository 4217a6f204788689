package sandbox_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

const key = "a key for tests"

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type provider struct {
	*payment.Client
	url   string
	clock *clock
}

func start(t testing.TB) *provider {
	t.Helper()
	time := newClock()
	server, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), Key: key, Clock: time.Now, Faults: true})
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
	return &provider{payment.NewClient(web.URL, key, nil), web.URL, time}
}

func euros(cents int64) events.Money {
	return events.Money{Amount: cents, Currency: "EUR"}
}

func visa(order string) payment.AuthoriseRequest {
	return payment.AuthoriseRequest{OrderID: order, Amount: euros(1250), Method: "pm_card_visa"}
}

// post sends a request as it is, and returns the status, the answer and
// whether it was a replay.
func (p *provider) post(t testing.TB, path, idempotencyKey, contentType, body string) (int, string, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Idempotency-Key", idempotencyKey)
	req.Header.Set("Content-Type", contentType)
	return send(t, req)
}

func send(t testing.TB, req *http.Request) (int, string, bool) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer), resp.Header.Get("Idempotent-Replayed") == "true"
}

const (
	jsonType = "application/json"
	goodBody = `{"order_id":"o1","amount":{"amount":1250,"currency":"EUR"},"method":"pm_card_visa"}`
)

func TestBadRequests(t *testing.T) {
	t.Parallel()
	p := start(t)
	long := strings.Repeat("k", 256)
	tests := map[string]struct {
		path, key, contentType, body string
		status                       int
		code                         payment.Code
	}{
		"no key":          {"/v1/payments", "", jsonType, goodBody, 400, payment.CodeInvalid},
		"long key":        {"/v1/payments", long, jsonType, goodBody, 400, payment.CodeInvalid},
		"form":            {"/v1/payments", "k", "text/plain", goodBody, 415, payment.CodeMediaType},
		"no type":         {"/v1/payments", "k", "", goodBody, 415, payment.CodeMediaType},
		"large":           {"/v1/payments", "k", jsonType, strings.Repeat(" ", 17<<10) + goodBody, 413, payment.CodeTooLarge},
		"not JSON":        {"/v1/payments", "k", jsonType, `{"order_id"`, 400, payment.CodeInvalid},
		"empty":           {"/v1/payments", "k", jsonType, ``, 400, payment.CodeInvalid},
		"deep":            {"/v1/payments", "k", jsonType, strings.Repeat("[", 12000), 400, payment.CodeInvalid},
		"two values":      {"/v1/payments", "k", jsonType, goodBody + goodBody, 400, payment.CodeInvalid},
		"unknown field":   {"/v1/payments", "k", jsonType, `{"card":"4242424242424242"}`, 400, payment.CodeInvalid},
		"no order":        {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "o1", "", 1), 400, payment.CodeInvalid},
		"odd order":       {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "o1", "../o", 1), 400, payment.CodeInvalid},
		"zero":            {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "1250", "0", 1), 400, payment.CodeInvalid},
		"negative":        {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "1250", "-1", 1), 400, payment.CodeInvalid},
		"fraction":        {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "1250", "12.5", 1), 400, payment.CodeInvalid},
		"overflow":        {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "1250", "9223372036854775808", 1), 400, payment.CodeInvalid},
		"currency":        {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "EUR", "eur", 1), 400, payment.CodeInvalid},
		"unknown method":  {"/v1/payments", "k", jsonType, strings.Replace(goodBody, "visa", "visas", 1), 400, payment.CodeUnknownMethod},
		"capture unknown": {"/v1/payments/o1/capture", "k", jsonType, `{}`, 404, payment.CodeNotFound},
		"release odd":     {"/v1/payments/o%20o/release", "k", jsonType, `{}`, 400, payment.CodeInvalid},
	}
	for name, test := range tests {
		status, answer, _ := p.post(t, test.path, test.key, test.contentType, test.body)
		if status != test.status || !strings.Contains(answer, `"`+string(test.code)+`"`) {
			t.Errorf("%s: answer = %d %s, want %d with %s", name, status, answer, test.status, test.code)
		}
	}
	if found := collect(t, p.Payments(t.Context())); len(found) > 0 {
		t.Errorf("refused requests left %d payments", len(found))
	}
}

func TestKeyIsNeeded(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, authorization := range []string{"", "Bearer ", "Bearer wrong", key} {
		for _, path := range []string{"/v1/payments/o1", "/v1/ledger", "/faults"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", authorization)
			if status, _, _ := send(t, req); status != http.StatusUnauthorized {
				t.Errorf("GET %s with %q = %d, want 401", path, authorization, status)
			}
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := send(t, req); status != http.StatusNoContent {
		t.Errorf("healthz = %d, want 204", status)
	}
}

func TestSameKey(t *testing.T) {
	t.Parallel()
	p := start(t)
	_, first, replayed := p.post(t, "/v1/payments", "k1", jsonType, goodBody)
	if replayed {
		t.Error("first answer is marked as a replay")
	}
	if _, err := p.Release(t.Context(), "o1"); err != nil {
		t.Fatal(err)
	}
	status, second, replayed := p.post(t, "/v1/payments", "k1", jsonType, goodBody)
	if status != 200 || !replayed || second != first {
		t.Errorf("second answer = %d %s (replayed %t), want the first: %s", status, second, replayed, first)
	}
	other := strings.Replace(goodBody, "1250", "1251", 1)
	tests := map[string]struct {
		path, key, body string
		code            payment.Code
	}{
		"other body":          {"/v1/payments", "k1", other, payment.CodeConflict},
		"other path":          {"/v1/payments/o1/capture", "k1", goodBody, payment.CodeInvalid},
		"other path, no body": {"/v1/payments/o1/capture", "k1", `{}`, payment.CodeConflict},
		"other key":           {"/v1/payments", "k2", goodBody, payment.CodeExists},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer, _ := p.post(t, test.path, test.key, jsonType, test.body)
			if status/100 != 4 || !strings.Contains(answer, string(test.code)) {
				t.Errorf("answer = %d %s, want 4xx %s", status, answer, test.code)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sandbox.New(sandbox.Options{Dir: dir}); err == nil {
		t.Error("no key: no error")
	}
	server, err := sandbox.New(sandbox.Options{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := sandbox.New(sandbox.Options{Dir: dir, Key: key}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second server on the folder: %v, want in use", err)
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/faults", nil)
	request.Header.Set("Authorization", "Bearer "+key)
	server.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusNotFound {
		t.Errorf("faults that nobody asked for = %d, want 404", recorder.Code)
	}
}

func TestClosedLedgerIsUnavailable(t *testing.T) {
	t.Parallel()
	server, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/v1/ledger", "/v1/payments", "/v1/payments/o1"} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Authorization", "Bearer "+key)
		server.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusServiceUnavailable {
			t.Errorf("GET %s = %d, want 503", path, recorder.Code)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, order := range []string{"c", "a", "b"} {
		if _, err := p.Authorise(t.Context(), visa(order)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Release(t.Context(), "never"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"/v1/payments?limit=2":            `"next":"b","more":true`,
		"/v1/payments?limit=2&after=b":    `"next":"c","more":false`,
		"/v1/payments?after=c":            `{"payments":[],"next":"c","more":false}`,
		"/v1/ledger?limit=2":              `"next":2,"more":true`,
		"/v1/ledger?after=2":              `"next":3,"more":false`,
		"/v1/ledger?after=7":              `{"movements":[],"next":7,"more":false}`,
		"/v1/ledger?after=x":              `invalid_request`,
		"/v1/ledger?limit=x":              `invalid_request`,
		"/v1/payments?limit=x":            `invalid_request`,
		"/v1/payments?limit=-1&after=%ff": `"next"`,
	}
	for path, want := range tests {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		if _, answer, _ := send(t, req); !strings.Contains(answer, want) {
			t.Errorf("GET %s = %s, want %s", path, answer, want)
		}
	}
	var orders []string
	for _, payment := range collect(t, p.Payments(t.Context())) {
		orders = append(orders, payment.OrderID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, orders); diff != "" {
		t.Errorf("orders with a payment (-want +got):\n%s", diff)
	}
}
