package sandboxtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
)

// Hold holds up one call, before or after it takes effect.
type Hold struct {
	// Reached is closed when the call has come that far, and Over when the
	// provider has done with it.
	Reached, Over <-chan struct{}
	// Resume lets the call go on. It may be called again.
	Resume func()

	pattern       string
	after         bool
	reached, over chan struct{}
	resumed       chan struct{}
}

// Hold holds up the next call whose path matches the pattern of path.Match,
// before it takes effect or after. It goes on when it is resumed, and at the
// latest when the test ends.
func (p *Provider) Hold(tb testing.TB, pattern string, after bool) *Hold {
	tb.Helper()
	if _, err := path.Match(pattern, ""); err != nil {
		tb.Fatalf("hold %s: %v", pattern, err)
	}
	h := &Hold{
		pattern: pattern, after: after,
		reached: make(chan struct{}), over: make(chan struct{}), resumed: make(chan struct{}),
	}
	h.Reached, h.Over = h.reached, h.over
	h.Resume = sync.OnceFunc(func() { close(h.resumed) })
	tb.Cleanup(h.Resume) // before the server is closed, which waits for its requests
	p.held.Store(h)
	return h
}

// serve passes a call on, unless it is the one to be held up.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	if held := p.held.Load(); held != nil && held.matches(r) && p.held.CompareAndSwap(held, nil) {
		held.serve(p.sandbox, w, r)
		return
	}
	p.sandbox.ServeHTTP(w, r)
}

func (h *Hold) matches(r *http.Request) bool {
	matches, err := path.Match(h.pattern, r.URL.Path)
	return matches && err == nil
}

// serve has the whole request at hand from the start, so that the caller can go
// away and leave it under way.
func (h *Hold) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer close(h.over)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	if h.after {
		next.ServeHTTP(answer, r)
	}
	close(h.reached)
	<-h.resumed
	if !h.after {
		next.ServeHTTP(answer, r)
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the caller may be gone by now
}
