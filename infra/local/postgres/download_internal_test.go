package postgres

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// Ctrl-C doesn't wait for a server that is slow.
func TestDownloadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked, done := make(chan struct{}), make(chan struct{})
	repository := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-done
	}))
	t.Cleanup(repository.Close)
	t.Cleanup(func() { close(done) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	dir := filepath.Join(t.TempDir(), "binaries")
	_, err = download(ctx, dir, embedded.DefaultConfig().Port(uint32(port)).BinaryRepositoryURL(repository.URL))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("download() = %v, want that it was cancelled", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is something in the folder: %v", err)
	}
}
