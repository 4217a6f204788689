package sandbox_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

// FuzzAPI calls the provider with anything. Every answer is JSON, or nothing; what is
// refused has moved no money, and what was taken was JSON itself.
func FuzzAPI(f *testing.F) {
	const good = `{"order_id":"o1","amount":{"amount":3300,"currency":"EUR"},"method":"pm_card_visa"}`
	for _, body := range []string{
		"", "null", "{}", "[]", "{}]", "{}}", good, good + good, good[:50], strings.Repeat("[", 9000), "\xff", strings.Replace(good, "3300", "0", 1),
		strings.Replace(good, "3300", "-1", 1), strings.Replace(good, "3300", "1e2", 1), strings.Replace(good, "3300", "9223372036854775808", 1),
		strings.Replace(good, "o1", strings.Repeat("o", 65), 1), strings.Replace(good, "EUR", "eur", 1), strings.Replace(good, `"method"`, `"more"`, 1),
		strings.Replace(good, "o1", `\u0000`, 1), strings.Replace(good, "pm_card_visa", "pm_card_chargeCustomerFail", 1), strings.Repeat(" ", 17<<10),
	} {
		for _, path := range []string{"/v1/payments", "/v1/payments/o1/capture", "/v1/payments/o1/release", "/v1/payments/%00/release", "/faults", "/v1/payments/a%2Fb/capture"} {
			f.Add(http.MethodPost, path, "key", "application/json", body)
		}
	}
	for _, path := range []string{"/v1/payments/o1", "/v1/payments?limit=-1&after=%ff", "/v1/ledger?after=-1", "/v1/ledger?after=18446744073709551615&limit=99999999999999999999", "/", "/../x", "/v1/payments/"} {
		f.Add(http.MethodGet, path, "", "", "")
		f.Add(http.MethodDelete, path, strings.Repeat("k", 300), "text/plain; charset=\"", "")
	}
	server, err := sandbox.New(sandbox.Options{Dir: f.TempDir(), Key: key, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := server.Close(); err != nil {
			f.Error(err)
		}
	})
	expected := []int{200, 204, 301, 307, 400, 404, 405, 409, 413, 415}
	f.Fuzz(func(t *testing.T, method, target, idempotencyKey, contentType, body string) {
		at, err := url.ParseRequestURI(target)
		if err != nil || at.Host != "" {
			return
		}
		request := &http.Request{
			Method: method, URL: at, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), RequestURI: target,
			Header: http.Header{"Authorization": {"Bearer " + key}, "Idempotency-Key": {idempotencyKey}, "Content-Type": {contentType}},
		}
		before := movements(t, server)
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request.WithContext(t.Context()))
		if !slices.Contains(expected, answer.Code) {
			t.Errorf("%s %q %q is answered by %d %s", method, target, body, answer.Code, answer.Body)
		}
		if strings.HasPrefix(answer.Header().Get("Content-Type"), "application/json") && !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s %q %q is answered by %q, which is no JSON", method, target, body, answer.Body)
		}
		moved := movements(t, server) - before
		if answer.Code >= 300 && moved != 0 {
			t.Errorf("%s %q %q is answered by %d, and has moved money", method, target, body, answer.Code)
		}
		if moved != 0 && (method != http.MethodPost || !json.Valid([]byte(body))) {
			t.Errorf("%s %q %q has moved money", method, target, body)
		}
	})
}

func movements(t *testing.T, server http.Handler) int {
	t.Helper()
	count, after := 0, "0"
	for {
		request := httptest.NewRequest(http.MethodGet, "/v1/ledger?after="+after, nil)
		request.Header.Set("Authorization", "Bearer "+key)
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		var page struct {
			payment.MovementPage
			Next json.Number `json:"next"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
			t.Fatalf("%s: %v", answer.Body, err)
		}
		count += len(page.Movements)
		if !page.More {
			return count
		}
		after = page.Next.String()
	}
}
