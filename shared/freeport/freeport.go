// Package freeport finds ports for servers that can't choose one themselves, and for
// those that are started again at the address they had.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Systems give ports above these to clients, and to servers that listen on port 0:
// one of those would often be taken between Find and its use.
const (
	lowest = 10100
	ports  = 5300
	tries  = 100
)

// Listen listens on a port of 127.0.0.1 that nobody else listens on.
func Listen() (*net.TCPListener, error) {
	var last error
	for range tries {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: lowest + rand.IntN(ports)})
		if err == nil {
			return listener, nil
		}
		last = err
	}
	return nil, fmt.Errorf("find a free port: %w", last)
}

// Find returns a port that Listen finds. Nothing keeps it: another caller is given the
// same one once in 5300 times.
func Find() (int, error) {
	listener, err := Listen()
	if err != nil {
		return 0, err
	}
	port := Port(listener)
	return port, listener.Close()
}

// Port is where a listener listens.
func Port(listener *net.TCPListener) int {
	return listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is what tcp gives
}
