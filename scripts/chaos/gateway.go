package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderflow-project/orderflow/shared/freeport"
)

// gateway passes HTTP requests on, and meddles with them while there is trouble.
type gateway struct {
	port     int
	upstream string
	server   *http.Server
	proxy    *httputil.ReverseProxy
	trouble  atomic.Pointer[trouble]
	late     sync.WaitGroup // requests that nobody waits for
	closing  chan struct{}

	mu     sync.Mutex
	random *rand.Rand
}

// trouble is what happens to requests for a while.
type trouble struct {
	kind string
	over <-chan struct{}
	hits atomic.Int64
}

func openGateway(upstream string, seed uint64) (*gateway, error) {
	listener, err := freeport.Listen()
	if err != nil {
		return nil, err
	}
	g := &gateway{
		port: freeport.Port(listener), upstream: upstream, closing: make(chan struct{}),
		random: rand.New(rand.NewPCG(seed, uint64(freeport.Port(listener)))), //nolint:gosec // it is only to differ
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			// The host stays: S3's signatures are of it.
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", upstream, r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
		// Whoever called sees what it would have seen without us: a lost connection.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute, ErrorLog: quiet()}
	g.proxy.ErrorLog = g.server.ErrorLog
	go func() { _ = g.server.Serve(listener) }()
	return g, nil
}

func (g *gateway) close() {
	close(g.closing)
	_ = g.server.Close()
	g.late.Wait()
}

// meddle has trouble for a while, and returns how many requests met it.
func (g *gateway) meddle(ctx context.Context, f fault) int {
	over := make(chan struct{})
	now := &trouble{kind: f.Kind, over: over}
	g.trouble.Store(now)
	pause(ctx, f.For)
	g.trouble.Store(nil)
	close(over)
	return int(now.hits.Load())
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := g.trouble.Load()
	if now == nil {
		g.proxy.ServeHTTP(w, r)
		return
	}
	now.hits.Add(1)
	switch now.kind {
	case kindDuplicate:
		g.repeat(w, r)
	case kindReorder:
		g.wait(r, nil, g.upTo(time.Second))
		g.proxy.ServeHTTP(w, r)
	case kindDelay:
		g.wait(r, now.over, longestFault)
		g.proxy.ServeHTTP(w, r)
	case kindRefuse:
		g.refuse(w)
	case kindLoseReply:
		g.forward(r)
		panic(http.ErrAbortHandler)
	case kindSilence:
		g.wait(r, now.over, longestFault)
		panic(http.ErrAbortHandler)
	case kindLate:
		g.forward(r)
		g.wait(r, now.over, longestFault)
		panic(http.ErrAbortHandler)
	case kindGarbage:
		g.babble(w, r)
	default:
		g.proxy.ServeHTTP(w, r)
	}
}

// repeat sends a request on twice at once, and once more when it is long over.
func (g *gateway) repeat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	unbound := context.WithoutCancel(r.Context()) // the caller doesn't wait for them
	for _, after := range []time.Duration{0, g.upTo(longestLate)} {
		copied := r.Clone(unbound)
		copied.Body = io.NopCloser(bytes.NewReader(body))
		g.late.Go(func() {
			g.wait(copied, g.closing, after)
			g.forward(copied)
		})
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.proxy.ServeHTTP(w, r)
}

// longestLate is how much later than the others the last of three deliveries comes.
const longestLate = 3 * time.Second

// forward sends a request on, and keeps the answer to itself.
func (g *gateway) forward(r *http.Request) {
	defer func() { _ = recover() }() // how the proxy says that nobody answered
	g.proxy.ServeHTTP(httptest.NewRecorder(), r)
}

// refuse answers as a service in trouble does.
func (g *gateway) refuse(w http.ResponseWriter) {
	answers := []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway}
	status := answers[g.below(len(answers))]
	w.Header().Set("Retry-After", "1")
	http.Error(w, http.StatusText(status), status)
}

// babble answers what makes no sense, as a proxy on the way may, before or after
// the effect.
func (g *gateway) babble(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut || g.below(2) == 0 {
		// S3 answers a PUT with nothing that could be wrong: where that is to be
		// believed, it has happened.
		g.forward(r)
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "<html><title>Welcome</title>You are connected to the guest network.</html>")
}

// wait waits until something is over, a time has passed, or the caller has hung up.
func (g *gateway) wait(r *http.Request, over <-chan struct{}, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-r.Context().Done():
	case <-g.closing:
	}
}

func (g *gateway) below(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.random.IntN(n)
}

func (g *gateway) upTo(d time.Duration) time.Duration {
	return time.Duration(g.below(int(d)))
}
