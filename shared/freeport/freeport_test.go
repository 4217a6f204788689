package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/orderflow-project/orderflow/shared/freeport"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for range 200 {
		port, err := freeport.Find()
		if err != nil {
			t.Fatal(err)
		}
		if port < 10000 || port >= 32768 {
			t.Errorf("port %d is one that systems give away", port)
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("port %d isn't free: %v", port, err)
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
}
