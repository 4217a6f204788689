package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/orderflow-project/orderflow/shared/subprocess"
)

// mock reaches Stripe's own stripe-mock, which holds a request to Stripe's OpenAPI
// and remembers nothing.
var mock http.Client

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orderflow-stripe-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop, err := startMock(dir)
	code := 1
	if err == nil {
		code = m.Run()
		err = stop()
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// startMock builds stripe-mock, once for each run of the tests, and starts it.
func startMock(dir string) (stop func() error, err error) {
	program := filepath.Join(dir, "stripe-mock")
	module := filepath.Join("..", "..", "..", "infra", "tools", "stripe-mock")
	if err := subprocess.Build(program, module, "github.com/stripe/stripe-mock"); err != nil {
		return nil, err
	}
	// A socket, since with an address it would also listen by HTTPS, on a port of its
	// own choice and on all interfaces.
	socket := filepath.Join(dir, "socket")
	mock.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	command := exec.Command(program, "-http-unix", socket)
	command.Stderr = os.Stderr
	return subprocess.Start(command, func(context.Context) bool {
		resp, err := mock.Get("http://stripe-mock/")
		return err == nil && resp.Body.Close() == nil
	})
}

// accepted shows stripe-mock each request that is made of Stripe, and fails the
// test if it isn't one that Stripe takes.
func accepted(tb testing.TB) func(r *http.Request, body []byte) {
	tb.Helper()
	return func(r *http.Request, body []byte) {
		status, said, err := show(r, body)
		if err != nil {
			tb.Error(err)
		} else if status != http.StatusOK {
			tb.Errorf("stripe-mock answers %d to %s %s %s: %s", status, r.Method, r.URL, body, said)
		}
	}
}

func show(r *http.Request, body []byte) (status int, said []byte, err error) {
	// The request's own context ends with its caller.
	shown, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, "http://stripe-mock"+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	shown.Header = r.Header.Clone()
	// Its key has no further underscores.
	shown.Header.Set("Authorization", "Bearer sk_test_123")
	resp, err := mock.Do(shown)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	said, err = io.ReadAll(resp.Body)
	return resp.StatusCode, said, err
}
