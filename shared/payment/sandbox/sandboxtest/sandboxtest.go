// Package sandboxtest gives each test a payment provider of its own: the
// sandbox behind HTTP, which the test can disturb, hold up, and ask how things
// really stand. It is for tests only.
package sandboxtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

const key = "a key for tests"

// Provider is a sandbox that runs, and a client of it.
type Provider struct {
	*payment.Client

	url     string
	sandbox *sandbox.Server
	held    atomic.Pointer[Hold]
}

// Start starts a provider that ends with the test.
func Start(tb testing.TB) *Provider {
	tb.Helper()
	server, err := sandbox.New(sandbox.Options{Dir: tb.TempDir(), Key: key, Faults: true})
	if err != nil {
		tb.Fatalf("start payment provider: %v", err)
	}
	p := &Provider{sandbox: server}
	web := httptest.NewServer(http.HandlerFunc(p.serve))
	tb.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			tb.Errorf("close payment provider: %v", err)
		}
	})
	p.url, p.Client = web.URL, payment.NewClient(web.URL, key, nil)
	return p
}

// Environment are the variables by which a function finds the provider.
func (p *Provider) Environment() map[string]string {
	return map[string]string{"PAYMENT_PROVIDER_URL": p.url, "PAYMENT_PROVIDER_KEY": key}
}

// Connect returns a client of the provider that a function has been told of.
func Connect(environment map[string]string) *payment.Client {
	return payment.NewClient(environment["PAYMENT_PROVIDER_URL"], environment["PAYMENT_PROVIDER_KEY"], nil)
}

// Fault arms a plan of the sandbox's own faults, as package fault reads it.
func (p *Provider) Fault(tb testing.TB, plan string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPut, p.url+"/faults", strings.NewReader(plan))
	if err != nil {
		tb.Fatalf("arm %s: %v", plan, err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatalf("arm %s: %v", plan, err)
	}
	response.Body.Close() //nolint:errcheck,gosec // the status says it all
	if response.StatusCode != http.StatusOK {
		tb.Fatalf("arm %s: %s", plan, response.Status)
	}
}

// Movements lists what the provider did with an order's money, in that order.
func (p *Provider) Movements(tb testing.TB, orderID string) []payment.Movement {
	tb.Helper()
	var all []payment.Movement
	for movement, err := range p.Client.Movements(tb.Context()) {
		if err != nil {
			tb.Fatalf("read the ledger: %v", err)
		}
		if movement.OrderID == orderID {
			all = append(all, movement)
		}
	}
	return all
}

// Kinds are the kinds of an order's movements.
func (p *Provider) Kinds(tb testing.TB, orderID string) []payment.Kind {
	tb.Helper()
	var kinds []payment.Kind
	for _, movement := range p.Movements(tb, orderID) {
		kinds = append(kinds, movement.Kind)
	}
	return kinds
}
