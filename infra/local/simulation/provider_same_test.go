package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

// The provider of the simulation answers every request as the sandbox does, whose
// rules customers' money is tried on.
func TestProviderAnswersAsTheSandbox(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	sandboxed, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), Key: "key", Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer sandboxed.Close()
	simulated, random := newProvider(clock), rand.New(rand.NewPCG(3, 0))
	methods := []string{"pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_chargeCustomerFail", "pm_card_authorisationExpires"}
	answers := map[string]int{}
	for range 600 {
		now = now.Add(time.Duration(random.IntN(3)) * time.Hour)
		n := random.IntN(60)
		order := fmt.Sprintf("order-%d", n)
		path, body := "/v1/payments/"+order+"/release", []byte("{}")
		key, method := "release/"+order, http.MethodPost
		switch random.IntN(4) {
		case 0:
			asked := payment.AuthoriseRequest{OrderID: order, Amount: money(100 + int64(random.IntN(2))), Method: methods[n%len(methods)]}
			body = encode(asked)
			path, key = "/v1/payments", fmt.Sprintf("authorise/%s/%d", order, random.IntN(2))
		case 1:
			path, key = "/v1/payments/"+order+"/capture", "capture/"+order
		case 2:
			method, path, body = http.MethodGet, "/v1/payments/"+order, nil
		}
		r := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer key")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		sandboxed.ServeHTTP(w, r)
		status, answer := simulated.serve(method, path, key, body)
		if want, got := plainAnswer(w.Code, w.Body.Bytes()), plainAnswer(status, answer); got != want {
			t.Fatalf("%s %s with %s and key %s: simulated %s, sandbox %s", method, path, body, key, got, want)
		}
		answers[plainAnswer(status, answer)[:12]]++
	}
	if len(answers) < 3 {
		t.Errorf("only these answers came up: %v", answers)
	}
}

// plainAnswer leaves out what the two may say in their own words: the payment's id
// and the text of a problem.
func plainAnswer(status int, body []byte) string {
	var answer struct {
		payment.Payment

		Code payment.Code `json:"code"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Sprint(status, err)
	}
	answer.ID = fmt.Sprint(answer.ID != "")
	return fmt.Sprintf("%d %s", status, encode(answer))
}

func money(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }
