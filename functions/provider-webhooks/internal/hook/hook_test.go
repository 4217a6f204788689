package hook_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
)

// taking takes everything, or fails.
type taking struct{ err error }

func (t taking) Take(context.Context, http.Header, []byte) error { return t.err }

func serve(t *testing.T, h hook.Hook, now func() time.Time, logs io.Writer) string {
	t.Helper()
	server := httptest.NewServer(hook.New(hook.Options{
		Hooks: map[string]hook.Hook{"/h": h}, Now: now, Logger: slog.New(slog.NewTextHandler(logs, nil)),
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		nil: http.StatusNoContent, hook.ErrForged: http.StatusForbidden, hook.ErrUnreadable: http.StatusBadRequest,
		errors.New("the database is away"): http.StatusServiceUnavailable, context.DeadlineExceeded: http.StatusServiceUnavailable,
	} {
		response, failed := http.Post(serve(t, taking{err}, time.Now, io.Discard)+"/h", "application/json", strings.NewReader("[]"))
		if failed != nil {
			t.Fatal(failed)
		}
		said, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || strings.Contains(string(said), "database") {
			t.Errorf("%v is answered %d %q, want %d", err, response.StatusCode, said, want)
		}
	}
}

// A body that doesn't come doesn't hold up the function.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	longAgo := func() time.Time { return time.Now().Add(-time.Hour) } // so that the time for it is over
	address := strings.TrimPrefix(serve(t, taking{}, longAgo, io.Discard), "http://")
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "POST /h HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n["); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(connection)
	if err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 408 ") {
		t.Errorf("answered %q, %v", said, err)
	}
}

// Whoever sends without end is told to wait, and others that they may come again.
func TestTooMany(t *testing.T) {
	t.Parallel()
	handler := hook.New(hook.Options{Hooks: map[string]hook.Hook{"/h": taking{}}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	answers := map[int]int{}
	for range 400 {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/h", strings.NewReader("[]")))
		answers[answer.Code]++
		if answer.Code == http.StatusTooManyRequests && answer.Header().Get("Retry-After") == "" {
			t.Fatal("too many, and nothing says when to come again")
		}
	}
	if answers[http.StatusNoContent] < 200 || answers[http.StatusTooManyRequests] == 0 {
		t.Errorf("400 at once are answered %v, want 200 taken and the rest told to wait", answers)
	}
}
