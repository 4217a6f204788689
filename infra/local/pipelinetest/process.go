package pipelinetest

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// Function is what func's server runs.
type Function interface {
	Start(ctx context.Context, environment map[string]string) error
	Handle(w http.ResponseWriter, r *http.Request)
	Ready(ctx context.Context) (bool, error)
	Stop(ctx context.Context) error
}

// service is a function at its address, whichever process of it is alive.
type service struct {
	make        func() Function
	environment map[string]string
	alive       atomic.Pointer[process]
}

// process is one life of a function.
type process struct {
	function Function
	// life ends when the process is killed, and with it all that it was at.
	life context.Context
	kill context.CancelFunc
	stop func()
}

func (s *service) start(t *testing.T) {
	t.Helper()
	p := &process{function: s.make()}
	p.life, p.kill = context.WithCancel(context.Background())
	started := make(chan error, 1)
	go func() { started <- p.function.Start(p.life, s.environment) }()
	localtest.Eventually(t, "the function is ready", waitForReady, func() bool {
		ready, err := p.function.Ready(t.Context())
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		return ready
	})
	p.stop = sync.OnceFunc(func() {
		p.kill()
		if err := <-started; err != nil {
			t.Errorf("start: %v", err)
		}
		if err := p.function.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(p.stop)
	s.alive.Store(p)
}

// ServeHTTP has the process that is alive answer. One that is killed meanwhile
// answers nothing, and its statements are cut off.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := s.alive.Load()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.life, cancel)() //nolint:contextcheck // a process' life is longer than a request
	answer := httptest.NewRecorder()
	p.function.Handle(answer, r.WithContext(ctx))
	if p.life.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the caller may have gone
}
