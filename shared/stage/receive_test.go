package stage_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/shared/stage"
)

// What is no event is refused with the status that says why, and none of those
// that Knative tries again.
func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	binary := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Type": "t", "Ce-Source": "/s", "Content-Type": "application/json"}
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	for name, test := range map[string]struct {
		method  string
		headers map[string]string
		body    string
		want    int
	}{
		"another method":   {http.MethodGet, binary, "", http.StatusMethodNotAllowed},
		"no event":         {http.MethodPost, map[string]string{"Content-Type": "application/json"}, "{}", http.StatusUnsupportedMediaType},
		"too large":        {http.MethodPost, structured, `{"data":"` + strings.Repeat("x", stage.MaxEvent) + `"}`, http.StatusRequestEntityTooLarge},
		"broken":           {http.MethodPost, structured, `{`, http.StatusBadRequest},
		"without an id":    {http.MethodPost, structured, `{"specversion":"1.0","type":"t","source":"/s"}`, http.StatusBadRequest},
		"an event, binary": {http.MethodPost, binary, "{}", http.StatusOK},
		"structured":       {http.MethodPost, structured, `{"specversion":"1.0","type":"t","source":"/s","id":"1"}`, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(test.method, "/", strings.NewReader(test.body))
			for key, value := range test.headers {
				request.Header.Set(key, value)
			}
			got := http.StatusOK
			received, err := stage.Receive(httptest.NewRecorder(), request)
			if err != nil {
				got = stage.StatusOf(err)
			}
			if got != test.want {
				t.Errorf("Receive() = %v, status %d, want %d", err, got, test.want)
			}
			if err == nil && received.ID() != "1" {
				t.Errorf("received %s, want the event", received)
			}
		})
	}
}

// A function is alive from the start, answers that it isn't ready until it is,
// and with settings that can't be right it stays so and says why.
func TestFunctionThatCannotStart(t *testing.T) {
	t.Parallel()
	const database = "postgres://localhost/x"
	for name, test := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"no database": {map[string]string{}, "DATABASE_URL"},
		"no sink":     {map[string]string{"DATABASE_URL": database, "K_SINK": "nowhere"}, "K_SINK"},
		"its own":     {map[string]string{"DATABASE_URL": database}, "SETTING is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := stage.New("test", func(context.Context, stage.Env) (http.Handler, error) { return nil, errors.New("SETTING is missing") })
			assertClosed(t, f, "starting")
			if err := f.Start(t.Context(), test.environment); err != nil {
				t.Errorf("Start() = %v, want the process to stay", err)
			}
			assertClosed(t, f, test.want)
			if err := f.Stop(t.Context()); err != nil {
				t.Errorf("Stop() = %v", err)
			}
		})
	}
}

func assertClosed(t *testing.T, f *stage.Function, want string) {
	t.Helper()
	if alive, err := f.Alive(t.Context()); !alive || err != nil {
		t.Errorf("Alive() = %t, %v", alive, err)
	}
	if ready, _ := f.Ready(t.Context()); ready {
		t.Error("it says that it is ready")
	}
	answer := httptest.NewRecorder()
	f.Handle(answer, httptest.NewRequest(http.MethodPost, "/", nil))
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), want) {
		t.Errorf("it answers %d %s, want 503 and %q", answer.Code, answer.Body, want)
	}
}
