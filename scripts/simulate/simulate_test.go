package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func testOptions() options {
	return options{Orders: 200, Concurrency: 4, Declined: 0.5, Cancelled: 0.5, Seed: 7}
}

func catalogue() []product {
	return []product{{SKU: "A-1"}, {SKU: "B-2"}, {SKU: "C-3"}}
}

func TestCrowdIsRepeatable(t *testing.T) {
	t.Parallel()
	one, other := newCrowd(testOptions(), catalogue()), newCrowd(testOptions(), catalogue())
	payments := map[string]int{}
	for n := range 200 {
		a, b := one.next(n), other.next(n)
		if a.key == b.key {
			t.Fatalf("two runs share the key %s", a.key)
		}
		a.key, b.key = "", ""
		if diff := cmp.Diff(a, b, cmp.AllowUnexported(basket{})); diff != "" {
			t.Fatalf("the same seed makes other customers:\n%s", diff)
		}
		payments[a.Payment]++
	}
	if len(payments) != 3 || payments["pm_card_visa"] < 60 || payments["pm_card_visa"] > 140 {
		t.Errorf("payment methods with half of the cards declined: %v", payments)
	}
}

// TestOrderIsTriedAgainUnderOneKey lets the shop fail twice in passing.
func TestOrderIsTriedAgainUnderOneKey(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var key atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if old := key.Swap(r.Header.Get("Idempotency-Key")); old != nil && old != r.Header.Get("Idempotency-Key") {
			t.Errorf("another key for the same order")
		}
		switch calls.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"id":"0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70","token":"t"}`))
		}
	}))
	defer server.Close()
	got, err := newShop(server.URL, 1).order(t.Context(), basket{key: "k"})
	if err != nil || got.Token != "t" || calls.Load() != 3 {
		t.Errorf("order() = %+v, %v after %d calls", got, err, calls.Load())
	}
}

func TestOrderTakesARefusal(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }))
	defer server.Close()
	if _, err := newShop(server.URL, 1).order(t.Context(), basket{}); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("order() = %v, want the refusal", err)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	three := placements{orders: []uuid.UUID{{1}, {2}, {3}}}
	done := outcome{latencies: []time.Duration{1, 2}, cancelled: map[string]int{"out_of_stock": 1}}
	if err := verdict(three, done); err != nil {
		t.Errorf("verdict() = %v for orders that all ended", err)
	}
	if err := verdict(three, outcome{latencies: []time.Duration{1}}); err == nil || !strings.Contains(err.Error(), "2 orders") {
		t.Errorf("verdict() = %v for two open orders", err)
	}
	if err := verdict(placements{refused: 1, lastError: http.ErrHandlerTimeout}, outcome{}); err == nil {
		t.Error("verdict() takes a refused order for fine")
	}
}

func TestPrintResult(t *testing.T) {
	t.Parallel()
	var latencies []time.Duration
	for i := range 100 {
		latencies = append(latencies, time.Duration(100-i)*time.Millisecond)
	}
	start := time.Now()
	var out bytes.Buffer
	printResult(&out, placements{orders: make([]uuid.UUID, 103), answers: []time.Duration{time.Millisecond}, took: 10 * time.Second},
		outcome{latencies: latencies, cancelled: map[string]int{"payment_declined": 2}, firstAt: start, lastAt: start.Add(20 * time.Second)}, time.Minute)
	for _, want := range []string{"10.3 orders/s", "5.2 orders/s", "p50 51ms  p90 91ms  p99 100ms  max 100ms", "100 shipped", "2 cancelled: payment_declined", "1 NOT AT AN END"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("result lacks %q:\n%s", want, out.String())
		}
	}
}

// TestCatalogueOfAShopThatStarts waits for one that is being started again, and not
// for one that isn't there.
func TestCatalogueOfAShopThatStarts(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(`[{"sku":"A-1"}]`))
	}))
	defer server.Close()
	products, err := newShop(server.URL, 1).products(t.Context())
	if err != nil || len(products) != 1 || calls.Load() != 2 {
		t.Errorf("%d products after %d calls (%v), want 1 after 2", len(products), calls.Load(), err)
	}

	server.Close()
	if _, err := newShop(server.URL, 1).products(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a shop: %v, want that the connection is refused", err)
	}
}
