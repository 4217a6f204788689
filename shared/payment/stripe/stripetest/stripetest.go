// Package stripetest gives each test a Stripe of its own: the part of its API that
// package stripe uses, with the states of a PaymentIntent, idempotency keys, a
// search that lags behind, and whatever the test has go wrong. It is for tests only,
// and written from docs.stripe.com: stripe-mock says whether a request is one that
// Stripe takes, but it remembers nothing and declines nothing.
package stripetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/stripe"
)

// Key is what a client presents.
const Key = "sk_test_of_tests"

const (
	// keysLast is for how long an answer is kept by its idempotency key.
	keysLast = 24 * time.Hour
	// searchLag is how long a PaymentIntent can't be found.
	searchLag = time.Minute
	// hold is how long money is held.
	hold = 7 * 24 * time.Hour
)

// Server is Stripe, for one test.
type Server struct {
	// URL is where its API is.
	URL string
	// Check, where there is one, sees every request first.
	Check func(r *http.Request, body []byte)

	faults  *fault.Injector
	mu      sync.Mutex
	ahead   time.Duration
	intents []*intent
	answers map[string]answer
	broken  *broken
	moves   map[string][]payment.Kind
}

// answer is what was said to an idempotency key, and to which request.
type answer struct {
	request string
	at      time.Time
	status  int
	body    []byte
}

// broken is a failure of Stripe's own, which it keeps for the key.
type broken struct {
	pattern string
	effect  bool
}

// Start starts a Stripe that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{answers: map[string]answer{}, moves: map[string][]payment.Kind{}}
	s.faults = fault.New(func(w http.ResponseWriter, status int) { writeError(w, status, refusal{kind: "api_error"}) })
	web := httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(web.Close)
	s.URL = web.URL
	return s
}

// Environment are the variables by which a function finds it.
func (s *Server) Environment() map[string]string {
	return map[string]string{"PAYMENT_PROVIDER": "stripe", "PAYMENT_PROVIDER_URL": s.URL, "PAYMENT_PROVIDER_KEY": Key}
}

// Connect returns a client of it.
func (s *Server) Connect(tb testing.TB) *stripe.Client {
	tb.Helper()
	client, err := stripe.New(s.URL, Key)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// Fault arms a plan, as package fault reads it. An answer that it hides or takes
// the place of is not kept for the key.
func (s *Server) Fault(tb testing.TB, plan string) {
	tb.Helper()
	armed := httptest.NewRecorder()
	s.faults.ServeHTTP(armed, httptest.NewRequest(http.MethodPut, "/faults", strings.NewReader(plan)))
	if armed.Code != http.StatusOK {
		tb.Fatalf("arm %s: %d %s", plan, armed.Code, armed.Body)
	}
}

// Break has the next call that matches a pattern of path.Match end in a 500 which
// is kept for its key and given again, with the effect or without it.
func (s *Server) Break(pattern string, effect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = &broken{pattern: pattern, effect: effect}
}

// Advance lets time pass at Stripe.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// Kinds are the kinds of movement of an order's money, in their order.
func (s *Server) Kinds(_ testing.TB, orderID string) []payment.Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]payment.Kind(nil), s.moves[orderID]...)
}

// Intents counts an order's PaymentIntents.
func (s *Server) Intents(orderID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, i := range s.intents {
		if i.Metadata["order_id"] == orderID {
			count++
		}
	}
	return count
}

// Dashboard does to an order's PaymentIntents what somebody does in Stripe's
// dashboard: "cancel", "capture" or "refund".
func (s *Server) Dashboard(tb testing.TB, orderID, step string) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if i.Metadata["order_id"] != orderID {
			continue
		}
		if refused := s.act(i, step, url.Values{}); refused != nil {
			tb.Fatalf("%s in the dashboard: %s", step, refused.code)
		}
	}
}

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.Check != nil {
		s.Check(r, body)
	}
	if presented := r.Header.Get("Authorization"); presented != "Bearer "+Key {
		// Stripe's message repeats the key, if only the ends of it.
		writeError(w, http.StatusUnauthorized, refusal{kind: "invalid_request_error", message: "Invalid API Key provided: " + presented})
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.faults.Wrap(http.HandlerFunc(s.api)).ServeHTTP(w, r)
}

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // it is in memory
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	w.Header().Set("Request-Id", "req_of_tests")
	if r.Method == http.MethodGet {
		status, said := s.read(r)
		write(w, status, said)
		return
	}
	form, err := url.ParseQuery(string(body))
	key := r.Header.Get("Idempotency-Key")
	if err != nil || key == "" || len(key) > 255 {
		writeError(w, http.StatusBadRequest, refusal{kind: "invalid_request_error"})
		return
	}
	request := r.URL.Path + "?" + form.Encode()
	if kept, found := s.answers[key]; found && s.now().Sub(kept.at) < keysLast {
		if kept.request != request {
			writeError(w, http.StatusBadRequest, refusal{kind: "idempotency_error"})
			return
		}
		w.Header().Set("Idempotent-Replayed", "true")
		write(w, kept.status, kept.body)
		return
	}
	status, said := s.carryOut(r.URL.Path, form)
	s.answers[key] = answer{request: request, at: s.now(), status: status, body: said}
	write(w, status, said)
}

func (s *Server) carryOut(at string, form url.Values) (status int, said []byte) {
	if b := s.broken; b != nil {
		if match, err := path.Match(b.pattern, at); match && err == nil {
			s.broken = nil
			if b.effect {
				s.write(at, form)
			}
			return http.StatusInternalServerError, encode(map[string]any{"error": refusal{kind: "api_error"}.json()})
		}
	}
	return s.write(at, form)
}

// write carries out a POST.
func (s *Server) write(at string, form url.Values) (status int, said []byte) {
	parts := strings.Split(strings.TrimPrefix(at, "/v1/"), "/")
	switch {
	case at == "/v1/payment_intents":
		return s.create(form)
	case at == "/v1/refunds":
		i := s.byID(form.Get("payment_intent"))
		if i == nil {
			return missing("payment_intent")
		}
		if refused := s.act(i, "refund", form); refused != nil {
			return refused.answer(nil)
		}
		return http.StatusOK, encode(i.refunds[len(i.refunds)-1].json())
	case parts[0] != "payment_intents" || len(parts) > 3:
		return missing("")
	}
	i := s.byID(parts[1])
	if i == nil {
		return missing("intent")
	}
	step := "update"
	if len(parts) > 2 {
		step = parts[2]
	}
	if refused := s.act(i, step, form); refused != nil {
		return refused.answer(i)
	}
	return http.StatusOK, encode(i.json(form["expand[]"], form))
}

// read answers a GET.
func (s *Server) read(r *http.Request) (status int, said []byte) {
	query := r.URL.Query()
	if r.URL.Path == "/v1/payment_intents/search" {
		found := []any{}
		for _, i := range s.intents {
			if s.now().Sub(i.created) >= searchLag && query.Get("query") == fmt.Sprintf(`metadata["order_id"]:%q`, i.Metadata["order_id"]) {
				found = append(found, i.json(nil, query))
			}
		}
		return http.StatusOK, encode(map[string]any{"object": "search_result", "data": found, "has_more": false})
	}
	if r.URL.Path == "/v1/refunds" {
		return s.listRefunds(query)
	}
	i := s.byID(strings.TrimPrefix(r.URL.Path, "/v1/payment_intents/"))
	if i == nil {
		return missing("intent")
	}
	return http.StatusOK, encode(i.json(query["expand[]"], query))
}

// refundsPage is how many refunds a page has here, so that there is more than one.
const refundsPage = 2

// listRefunds lists the latest first, as Stripe does.
func (s *Server) listRefunds(query url.Values) (status int, said []byte) {
	i := s.byID(query.Get("payment_intent"))
	if i == nil {
		return missing("payment_intent")
	}
	page, begun, more := []any{}, query.Get("starting_after") == "", false
	for _, one := range slices.Backward(i.refunds) {
		switch {
		case !begun:
			begun = one.ID == query.Get("starting_after")
		case len(page) == refundsPage:
			more = true
		default:
			page = append(page, one.json())
		}
	}
	return http.StatusOK, encode(map[string]any{"object": "list", "url": "/v1/refunds", "data": page, "has_more": more})
}

// FailRefunds has an order's refunds taken back, as by a card that is gone.
func (s *Server) FailRefunds(orderID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if i.Metadata["order_id"] != orderID {
			continue
		}
		for n := range i.refunds {
			i.refunds[n].status = "failed"
		}
		i.refunded = i.given() == i.Amount
	}
}

func (s *Server) byID(id string) *intent {
	for _, i := range s.intents {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func encode(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps and numbers
	}
	return encoded
}

func write(w http.ResponseWriter, status int, said []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(said) //nolint:gosec // JSON; the caller may be gone
}

func writeError(w http.ResponseWriter, status int, r refusal) {
	write(w, status, encode(map[string]any{"error": r.json()}))
}
