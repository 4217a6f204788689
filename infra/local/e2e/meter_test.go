package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
)

// meter stands between the processes of a system and counts what they tell each
// other. What the mailbox tells of mails doesn't come by, nor what customers say.
type meter struct {
	requests atomic.Int64
	// bytes are those of both directions, headers and Kafka's and Postgres's own
	// protocols included.
	bytes atomic.Int64
}

// callers are the processes that call others: every function, and Knative's part.
func callers(ports map[string]int) []string {
	all := []string{"kafka-sink", "kafka-source"}
	for name := range ports {
		if _, err := os.Stat(filepath.Join(root, "functions", name, "func.yaml")); err == nil {
			all = append(all, name)
		}
	}
	return all
}

// meteredSystem makes a system whose processes call each other through a meter.
func meteredSystem(t *testing.T) (*system, *meter) {
	t.Helper()
	s, m := newSystem(t), &meter{}
	ports := s.ports(t)
	calling := callers(ports)
	if s.kafka != nil {
		delete(ports, "broker")
	}
	through := map[string]map[string]int{}
	for target, port := range ports {
		detour := m.stand(t, target, port)
		for _, caller := range calling {
			if caller == target {
				continue
			}
			if through[caller] == nil {
				through[caller] = map[string]int{}
			}
			through[caller][target] = detour
		}
	}
	text, err := json.Marshal(through)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "through.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append(s.args, "--through", path)
	s.start(t)
	return s, m
}

// ports are those that the processes will listen on.
func (s *system) ports(t *testing.T) (ports map[string]int) {
	t.Helper()
	cmd := exec.Command(bin("orderflow"), "ports", "--root", root, "--state", s.state, "--port-offset", strconv.Itoa(s.offset))
	printed, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(printed, &ports)
	}
	if err != nil {
		t.Fatalf("orderflow ports: %v", err)
	}
	return ports
}

// stand opens a port in front of a target's.
func (m *meter) stand(t *testing.T, target string, port int) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if slices.Contains([]string{"broker", "postgres"}, target) {
		t.Cleanup(func() { _ = listener.Close() })
		go m.pass(listener, address)
	} else {
		server := &http.Server{Handler: m.proxy(address)}
		t.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(metered{listener, m}) }()
	}
	return listener.Addr().(*net.TCPAddr).Port
}

func (m *meter) proxy(address string) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.Host = r.In.Host // S3's signatures hold it
		},
		// Not the default one, whose connections other tests share.
		Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
		FlushInterval: -1,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/health/readiness" {
			m.requests.Add(1)
		}
		proxy.ServeHTTP(w, r)
	})
}

// pass connects whoever comes with the target.
func (m *meter) pass(listener net.Listener, address string) {
	for {
		from, err := metered{listener, m}.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = from.Close() }()
			to, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
			if err != nil {
				return
			}
			defer func() { _ = to.Close() }()
			go func() {
				_, _ = io.Copy(to, from)
				_ = to.Close()
			}()
			_, _ = io.Copy(from, to)
		}()
	}
}

// metered counts what goes over a listener's connections.
type metered struct {
	net.Listener

	meter *meter
}

// Accept implements net.Listener.
func (m metered) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return meteredConn{conn, m.meter}, nil
}

type meteredConn struct {
	net.Conn

	meter *meter
}

// Read implements net.Conn.
func (c meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.bytes.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.bytes.Add(int64(n))
	return n, err
}
