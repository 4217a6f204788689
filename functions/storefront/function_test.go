package function

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/awsauth/awstest"
)

func TestBadSettings(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"DATABASE_URL": "postgres://127.0.0.1/x", "ORDER_TOKEN_KEY": strings.Repeat("k", 32), "SHOP_URL": "http://localhost:8080",
	}
	tests := map[string]struct{ name, value, want string }{
		"no database":  {"DATABASE_URL", "", "DATABASE_URL"},
		"bad database": {"DATABASE_URL", "secret://", "DATABASE_URL"},
		"no key":       {"ORDER_TOKEN_KEY", "", "ORDER_TOKEN_KEY"},
		"short key":    {"ORDER_TOKEN_KEY", "secret", "ORDER_TOKEN_KEY"},
		"bad limit":    {"RATE_LIMIT", "secret", "RATE_LIMIT"},
		"no shop":      {"SHOP_URL", "", "SHOP_URL"},
		"bad shop":     {"SHOP_URL", "secret", "SHOP_URL"},
		"odd shop":     {"SHOP_URL", "httpx://secret", "SHOP_URL"},
		"bad sink":     {"K_SINK", "nowhere", "K_SINK"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{test.name: test.value}
			for name, value := range good {
				if name != test.name {
					environment[name] = value
				}
			}
			err := New().Start(t.Context(), environment)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Start = %v, want an error about %s that doesn't tell its value", err, test.want)
			}
		})
	}
}

func TestBeforeStartAndAfterStop(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"RATE_LIMIT": ""})
	fresh := New()
	if ready, err := fresh.Ready(t.Context()); ready || err != nil {
		t.Errorf("Ready before Start = %t, %v", ready, err)
	}
	if alive, err := fresh.Alive(t.Context()); !alive || err != nil {
		t.Errorf("Alive = %t, %v", alive, err)
	}
	if err := fresh.Stop(t.Context()); err != nil {
		t.Errorf("Stop before Start = %v", err)
	}
	s.function.running.Swap(nil).close()
	if got := s.order(wanted); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("order after Stop = %d, want 503", got.status)
	}
}

func (r *running) close() {
	r.publisher.Close()
	r.pool.Close()
}

func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	line := newWire(t)
	s := open(t, map[string]string{"DATABASE_URL": line.url})
	order := s.mustOrder(wanted)
	line.cut()
	if ready, err := s.function.Ready(t.Context()); ready || err != nil {
		t.Errorf("Ready = %t, %v, want false", ready, err)
	}
	for name, got := range map[string]answer{
		"products": s.get("/api/products"), "order": s.order(wanted), "show": s.get(order.Links.Self),
		"events": s.get(order.Links.Events), "cancel": s.cancel(order),
	} {
		refusal := decode[problem.Problem](t, got.body)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || refusal.Status != got.status {
			t.Errorf("%s = %d %s, want 503", name, got.status, got.body)
		}
	}
	for _, path := range []string{"/", "/products/TEA-SENCHA", order.Links.Page} {
		if got := s.get(path); got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), "Closed for a moment") {
			t.Errorf("GET %s = %d, want 503 as a page", path, got.status)
		}
	}
}

// A body that never ends gets its answer before the server's deadline cuts the
// connection without one.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	s := open(t, nil, func(f *Storefront) { f.bodyTimeout = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
		t.Errorf("answer %s, %v, want 408", got, err)
	}
	s.wantNothingStored()
}

// Not parallel, as the account sets variables of the process.
func TestSecretsOfSecretsManager(t *testing.T) {
	account := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "the role's"})
	manager := account.Secrets(t, map[string]awstest.Secret{"orderflow/token": {SecretString: strings.Repeat("k", 32)}})
	s := open(t, map[string]string{"ORDER_TOKEN_KEY": "secretsmanager:orderflow/token"})
	s.mustOrder(wanted)
	if asked := manager.Asked(); len(asked) != 1 {
		t.Errorf("asked for the secrets %v, want one", asked)
	}
	err := New().Start(t.Context(), map[string]string{"ORDER_TOKEN_KEY": "secretsmanager:orderflow/none"})
	if err == nil || !strings.Contains(err.Error(), "ORDER_TOKEN_KEY is in secretsmanager:orderflow/none: AWS answers ResourceNotFoundException") {
		t.Errorf("Start() = %v, want it to say that there is no such secret", err)
	}
}
