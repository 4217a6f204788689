// Package guard stands before the handlers: it bounds how often a client may
// order and tells browsers what our pages may do.
package guard

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// maxClients bounds the memory for clients. When it is used up all are
// forgotten, which gives everyone a fresh start.
const maxClients = 50_000

// Limiter bounds the orders per minute of a client. The limit is each
// process's own: it keeps one client from flooding the shop, no more.
type Limiter struct {
	perMinute int
	proxies   int

	mu      sync.Mutex
	clients map[netip.Prefix]*rate.Limiter
}

// NewLimiter allows each client perMinute orders in a minute, also all at once;
// 0 allows any number.
//
// A client is known by its address. Behind proxies that is the proxies'; with
// their number given, the address is taken from X-Forwarded-For, to which each
// of them appends whom it was asked by. What stands before that is the client's
// own invention.
func NewLimiter(perMinute, proxies int) *Limiter {
	return &Limiter{perMinute: perMinute, proxies: proxies, clients: map[netip.Prefix]*rate.Limiter{}}
}

// Allow counts an order, unless the client has used up its share.
func (l *Limiter) Allow(r *http.Request) bool {
	if l.perMinute <= 0 {
		return true
	}
	return l.limiterOf(l.client(r)).Allow()
}

func (l *Limiter) limiterOf(client netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.clients[client]
	if limiter == nil {
		if len(l.clients) >= maxClients {
			clear(l.clients)
		}
		limiter = rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)
		l.clients[client] = limiter
	}
	return limiter
}

// client is the network that counts as one client: an IPv6 household has 2^64
// addresses. Who has no address shares the share of all who have none.
func (l *Limiter) client(r *http.Request) netip.Prefix {
	address := l.address(r)
	bits := 32
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

func (l *Limiter) address(r *http.Request) netip.Addr {
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if l.proxies > 0 && len(forwarded) >= l.proxies {
		address, err := netip.ParseAddr(strings.TrimSpace(forwarded[len(forwarded)-l.proxies]))
		if err == nil {
			return address.Unmap()
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// Clients counts the clients that are remembered.
func (l *Limiter) Clients() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients)
}
