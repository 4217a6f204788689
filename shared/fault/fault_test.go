package fault_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/fault"
)

type server struct {
	*httptest.Server
	effects atomic.Int64
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{}
	faults := fault.New(func(w http.ResponseWriter, status int) { http.Error(w, "provoked", status) })
	mux := http.NewServeMux()
	mux.Handle("/faults", faults)
	mux.Handle("/", faults.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.effects.Add(1)
		w.Header().Set("X-Effect", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "done")
	})))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) call(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// Otherwise the client would itself try again what was cut.
	req.GetBody = nil
	resp, err := s.Client().Do(req)
	if err != nil {
		return 0, "cut"
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "cut"
	}
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const done = http.StatusAccepted
	tests := map[string]struct {
		plan    string
		want    []int
		effects int64
	}{
		"none":             {`{}`, []int{done, done}, 2},
		"before, once":     {`{"before":{"status":503,"count":1}}`, []int{503, done}, 1},
		"after, twice":     {`{"after":{"status":500,"count":2}}`, []int{500, 500, done}, 3},
		"until cleared":    {`{"before":{"status":429}}`, []int{429, 429, 429}, 0},
		"dropped before":   {`{"before":{"drop":true,"count":1}}`, []int{0, done}, 1},
		"dropped after":    {`{"after":{"drop":true,"count":1}}`, []int{0, done}, 2},
		"delay alone":      {`{"before":{"delay":"1ms"},"after":{"delay":"1ms"}}`, []int{done, done}, 2},
		"other path":       {`{"before":{"path":"/other","status":500}}`, []int{done}, 1},
		"path matches":     {`{"before":{"path":"/a/*/c","status":500}}`, []int{500}, 0},
		"other method":     {`{"before":{"method":"GET","status":500}}`, []int{done}, 1},
		"before and after": {`{"before":{"status":503,"count":1},"after":{"status":500,"count":1}}`, []int{503, 500, done}, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			if status, answer := s.call(t, "PUT", "/faults", test.plan); status != 200 {
				t.Fatalf("arm = %d %s", status, answer)
			}
			var got []int
			for range test.want {
				status, _ := s.call(t, "POST", "/a/b/c", "")
				got = append(got, status)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
			if got := s.effects.Load(); got != test.effects {
				t.Errorf("effects = %d, want %d", got, test.effects)
			}
		})
	}
}

func TestDelayedAnswerIsWhole(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call(t, "PUT", "/faults", `{"after":{"delay":"1ms"}}`)
	if status, answer := s.call(t, "POST", "/x", ""); status != 202 || answer != "done" {
		t.Errorf("answer = %d %q, want 202 done", status, answer)
	}
}

func TestPlanIsShownAndCleared(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call(t, "PUT", "/faults", `{"before":{"status":500,"count":3,"delay":"1ms"}}`)
	s.call(t, "POST", "/x", "")
	_, answer := s.call(t, "GET", "/faults", "")
	var got fault.Plan
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	want := fault.Plan{Before: &fault.Fault{Status: 500, Count: 2, Struck: 1, Delay: 1e6}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if status, answer := s.call(t, "DELETE", "/faults", ""); status != 200 || answer != "{}" {
		t.Errorf("clear = %d %s, want 200 {}", status, answer)
	}
	if status, _ := s.call(t, "POST", "/x", ""); status != 202 {
		t.Errorf("after clearing = %d, want 202", status)
	}
	if status, _ := s.call(t, "POST", "/faults", ""); status != 405 {
		t.Errorf("POST /faults = %d, want 405", status)
	}
}

func TestBadPlans(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, plan := range []string{
		``, `[]`, `{"befor":{}}`, `{"before":{}}`, `{"before":{"status":200}}`, `{"before":{"status":600}}`,
		`{"after":{"path":"[","status":500}}`, `{"after":{"delay":"soon"}}`, `{"after":{"delay":"-1s"}}`,
		`{"after":{"status":500,"count":-1}}`,
	} {
		if status, answer := s.call(t, "PUT", "/faults", plan); status != 400 {
			t.Errorf("arm %s = %d %s, want 400", plan, status, answer)
		}
	}
}
