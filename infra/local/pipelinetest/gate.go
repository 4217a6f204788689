package pipelinetest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Gate stands before a part of the system and does to its requests what a network
// does, as the test says.
type Gate struct {
	// URL is where the part is, for whoever is to come through the gate.
	URL string

	next   http.Handler
	keeper atomic.Pointer[Keeper]
}

// Keeper decides what becomes of a request.
type Keeper func(next http.Handler, w http.ResponseWriter, r *http.Request)

// NewGate puts a gate, which is open, before a handler.
func NewGate(tb testing.TB, next http.Handler) *Gate {
	tb.Helper()
	g := &Gate{next: next}
	server := httptest.NewServer(g)
	tb.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// Before makes the handler that passes requests on to where a part listens.
func Before(tb testing.TB, address string) http.Handler {
	tb.Helper()
	to, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	return &httputil.ReverseProxy{
		// The host stays what the caller knows: S3's signatures are made of it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
	}
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if keeper := g.keeper.Load(); keeper != nil {
		(*keeper)(g.next, w, r)
		return
	}
	g.next.ServeHTTP(w, r)
}

// Keep has a keeper decide from now on.
func (g *Gate) Keep(keeper Keeper) { g.keeper.Store(&keeper) }

// Open lets everything through again.
func (g *Gate) Open() { g.keeper.Store(nil) }

// Close answers all by 503, and counts them.
func (g *Gate) Close() *atomic.Int64 {
	var came atomic.Int64
	g.Keep(func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
		came.Add(1)
		http.Error(w, "closed", http.StatusServiceUnavailable)
	})
	return &came
}

// LoseAnswers lets so many requests take effect, and cuts the connection before
// their answer: what a process does that dies after its commit. It counts all.
func (g *Gate) LoseAnswers(count int64) *atomic.Int64 {
	var came atomic.Int64
	g.Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if came.Add(1) > count {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	return &came
}

// Hold holds up the next request before it takes effect: reached is closed when
// it is there, and release lets it and all others go on.
func (g *Gate) Hold(tb testing.TB) (reached <-chan struct{}, release func()) {
	tb.Helper()
	there, gone := make(chan struct{}), make(chan struct{})
	arrive, leave := sync.OnceFunc(func() { close(there) }), sync.OnceFunc(func() { close(gone) })
	g.Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		arrive()
		select {
		case <-gone:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	})
	tb.Cleanup(leave)
	return there, func() {
		g.Open()
		leave()
	}
}

// Swallow takes every request that comes while it stands, and answers none of them:
// it is gone when its sender is. reached is closed when there is one.
func (g *Gate) Swallow() (reached <-chan struct{}) {
	there := make(chan struct{})
	arrive := sync.OnceFunc(func() { close(there) })
	g.Keep(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody looks whether the sender is there
		arrive()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	return there
}

// Repeat has every request take effect so many times; its sender hears of the last.
func (g *Gate) Repeat(times int) {
	g.Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		for i := range times {
			answer := w
			if i < times-1 {
				answer = httptest.NewRecorder()
			}
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(answer, again)
		}
	})
}

// Count counts the requests that come through.
func (g *Gate) Count() *atomic.Int64 {
	var count atomic.Int64
	g.Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		next.ServeHTTP(w, r)
	})
	return &count
}

// Await waits for what a gate tells of, as long as for all else.
func Await(tb testing.TB, told <-chan struct{}) {
	tb.Helper()
	select {
	case <-told:
	case <-time.After(patience):
		tb.Fatalf("nothing has come to the gate within %s", patience)
	}
}
