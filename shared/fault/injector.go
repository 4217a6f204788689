package fault

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Injector carries out a plan. As a handler it answers GET (what is armed and
// how often it struck), PUT (arm) and DELETE (disarm).
type Injector struct {
	refuse func(w http.ResponseWriter, status int)

	mu   sync.Mutex
	plan Plan
}

// New returns an injector without a plan. refuse writes an error the way the
// server's own errors look.
func New(refuse func(w http.ResponseWriter, status int)) *Injector {
	return &Injector{refuse: refuse}
}

// ServeHTTP implements http.Handler.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		plan, err := decodePlan(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		i.arm(plan)
	case http.MethodDelete:
		i.arm(Plan{})
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	answer, err := i.armed()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // a caller that is gone needs no answer
}

func (i *Injector) arm(plan Plan) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.plan = plan
}

// armed is encoded under the lock, since strikes change what the plan points to.
func (i *Injector) armed() ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return json.Marshal(i.plan)
}

// strike takes one hit from the fault that choose finds, if it matches.
func (i *Injector) strike(r *http.Request, choose func(*Plan) **Fault) (Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	fault := choose(&i.plan)
	if *fault == nil || !(*fault).matches(r) {
		return Fault{}, false
	}
	hit := *fault
	hit.Struck++
	struck := *hit
	if hit.Count == 1 {
		*fault = nil
	} else if hit.Count > 1 {
		hit.Count--
	}
	return struck, true
}

// Wrap puts the plan between a server and its callers.
func (i *Injector) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before, hit := i.strike(r, func(p *Plan) **Fault { return &p.Before })
		if hit {
			r.Body = readAhead(w, r)
			if i.apply(before, w, r) {
				return
			}
		}
		after, hit := i.strike(r, func(p *Plan) **Fault { return &p.After })
		if !hit {
			next.ServeHTTP(w, r)
			return
		}
		answer := &held{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if !i.apply(after, w, r) {
			answer.release(w)
		}
	})
}

// apply waits and answers; false means that the request goes on.
func (i *Injector) apply(f Fault, w http.ResponseWriter, r *http.Request) bool {
	if f.Delay > 0 {
		timer := time.NewTimer(time.Duration(f.Delay))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	if f.Drop {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	}
	if f.Status != 0 {
		i.refuse(w, f.Status)
	}
	return f.Status != 0
}

// maxReadAhead is above every limit of the servers behind.
const maxReadAhead = 32 << 20

// readAhead takes the body from the connection: only then does net/http notice
// that the caller has hung up, which ends the delay.
func readAhead(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	source := http.MaxBytesReader(w, r.Body, maxReadAhead)
	var read bytes.Buffer
	// The source says again what went wrong to whoever reads on.
	_, _ = read.ReadFrom(source)
	return io.NopCloser(io.MultiReader(&read, source))
}

// held keeps an answer back until the fault has had its turn.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *held) release(w http.ResponseWriter) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes()) // a caller that is gone needs no answer
}
