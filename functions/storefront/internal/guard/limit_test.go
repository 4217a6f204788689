package guard_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/guard"
)

func TestClientsShareNothing(t *testing.T) {
	t.Parallel()
	type call struct{ peer, forwarded string }
	tests := map[string]struct {
		proxies       int
		first, second call
		same          bool
	}{
		"same address":             {0, call{"192.0.2.1:1000", ""}, call{"192.0.2.1:2000", ""}, true},
		"another address":          {0, call{"192.0.2.1:1", ""}, call{"192.0.2.2:1", ""}, false},
		"IPv6 household":           {0, call{"[2001:db8::1]:1", ""}, call{"[2001:db8::ffff:2]:1", ""}, true},
		"IPv6 neighbours":          {0, call{"[2001:db8::1]:1", ""}, call{"[2001:db8:0:1::1]:1", ""}, false},
		"IPv4 in IPv6":             {0, call{"[::ffff:192.0.2.1]:1", ""}, call{"192.0.2.1:1", ""}, true},
		"header isn't believed":    {0, call{"192.0.2.1:1", "198.51.100.1"}, call{"192.0.2.1:1", "198.51.100.2"}, true},
		"behind one proxy":         {1, call{"10.0.0.1:1", "198.51.100.1"}, call{"10.0.0.1:1", "198.51.100.2"}, false},
		"client invents the first": {1, call{"10.0.0.1:1", "1.1.1.1, 198.51.100.1"}, call{"10.0.0.1:1", "2.2.2.2, 198.51.100.1"}, true},
		"behind two proxies":       {2, call{"10.0.0.1:1", "198.51.100.1, 10.0.0.2"}, call{"10.0.0.1:1", "198.51.100.2, 10.0.0.2"}, false},
		"fewer than told":          {2, call{"10.0.0.1:1", "198.51.100.1"}, call{"10.0.0.1:1", "198.51.100.2"}, true},
		"forwarded isn't one":      {1, call{"10.0.0.1:1", "unknown"}, call{"10.0.0.1:1", "_hidden"}, true},
		"no address":               {0, call{"@", ""}, call{"", ""}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limiter := guard.NewLimiter(1, test.proxies)
			allow := func(c call) bool {
				r := httptest.NewRequest("POST", "/", nil)
				r.RemoteAddr = c.peer
				if c.forwarded != "" {
					r.Header.Set("X-Forwarded-For", c.forwarded)
				}
				return limiter.Allow(r)
			}
			if !allow(test.first) {
				t.Error("the first order is refused")
			}
			if got := !allow(test.second); got != test.same {
				t.Errorf("the second order counts for the same client: %t, want %t", got, test.same)
			}
		})
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	limiter := guard.NewLimiter(0, 0)
	for range 1000 {
		if !limiter.Allow(httptest.NewRequest("POST", "/", nil)) {
			t.Fatal("refused without a limit")
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	limiter := guard.NewLimiter(1, 0)
	for i := range 120_000 {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
		if !limiter.Allow(r) {
			t.Fatalf("client %d is refused its first order", i)
		}
	}
	if got := limiter.Clients(); got > 50_000 {
		t.Errorf("%d clients remembered, want at most 50000", got)
	}
}
