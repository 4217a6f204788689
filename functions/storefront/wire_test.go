package function

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// wire is the line to a database with the demo shop in it. It can be cut.
type wire struct {
	url string
	// pool goes to the database directly.
	pool     *pgxpool.Pool
	far      string
	listener net.Listener
	// commit is asked what to do with a connection that commits.
	commit atomic.Pointer[func() fate]

	mu       sync.Mutex
	open     []net.Conn
	ended    bool
	forwards sync.WaitGroup
}

// fate is what becomes of a connection.
type fate int

const (
	passes fate = iota
	// vanishes before the database has heard the commit.
	vanishes
	// loses what the database answers to the commit.
	loses
)

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{pool: postgrestest.New(t)}
	if err := demo.Seed(t.Context(), w.pool); err != nil {
		t.Fatal(err)
	}
	database, err := url.Parse(w.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.far, database.Host = database.Host, w.listener.Addr().String()
	w.url = database.String()
	w.forwards.Go(w.accept)
	t.Cleanup(w.cut)
	return w
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		remote, err := net.Dial("tcp", w.far)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, near, remote)
		if w.ended {
			near.Close()
			remote.Close()
		}
		w.mu.Unlock()
		var lost atomic.Bool
		w.forwards.Go(func() {
			w.pump(near, remote, func(chunk []byte) bool {
				commit := w.commit.Load()
				if commit == nil || !bytes.Contains(chunk, []byte("commit\x00")) {
					return true
				}
				becomes := (*commit)()
				lost.Store(becomes == loses)
				return becomes != vanishes
			})
		})
		w.forwards.Go(func() { w.pump(remote, near, func([]byte) bool { return !lost.Load() }) })
	}
}

// pump carries what is sent from one end to the other for as long as it passes,
// and then ends both.
func (w *wire) pump(from, to net.Conn, passes func(chunk []byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !passes(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// onCommit decides what becomes of commits; the first one is number 1.
func (w *wire) onCommit(decide func(number int) fate) {
	var seen atomic.Int32
	ask := func() fate { return decide(int(seen.Add(1))) }
	w.commit.Store(&ask)
}

// cut ends every connection, and lets no other come.
func (w *wire) cut() {
	w.listener.Close()
	w.mu.Lock()
	w.ended = true
	for _, conn := range w.open {
		conn.Close()
	}
	w.mu.Unlock()
	w.forwards.Wait()
}

func (w *wire) orders(t *testing.T) int {
	t.Helper()
	var count int
	if err := w.pool.QueryRow(t.Context(), "select count(*) from orders").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

// A commit whose answer is lost may have taken effect. The customer gets one
// order in any case, or hears that it isn't known.
func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]fate{"taken effect": loses, "not heard": vanishes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := newWire(t)
			s := open(t, map[string]string{"DATABASE_URL": line.url})
			line.onCommit(func(number int) fate {
				if number == 1 {
					return lost
				}
				return passes
			})
			order := decode[placed](t, s.order(wanted, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").body)
			if count := line.orders(t); count != 1 {
				t.Errorf("%d orders, want 1", count)
			}
			s.wantEvent(order)
		})
	}
}

func TestCommitThatStaysUnknown(t *testing.T) {
	t.Parallel()
	line := newWire(t)
	s := open(t, map[string]string{"DATABASE_URL": line.url})
	line.onCommit(func(int) fate { return vanishes })
	for range 2 {
		got := s.order(wanted, "Idempotency-Key", "mine")
		if refusal := decode[problem.Problem](t, got.body); got.status != http.StatusServiceUnavailable ||
			refusal.Type != problem.Unsure().Type || got.header.Get("Retry-After") != "" {
			t.Errorf("an order without an end = %d %s, want that nobody knows", got.status, got.body)
		}
	}
	v := s.visitor()
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	if got := v.submit("/checkout", form); got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), "We lost the thread") {
		t.Errorf("a form without an end = %d, want a page that says so", got.status)
	}
	line.onCommit(func(int) fate { return passes })
	for range 2 {
		if got := s.order(wanted, "Idempotency-Key", "mine"); got.status != http.StatusAccepted {
			t.Errorf("the same order again = %d %s, want 202", got.status, got.body)
		}
	}
	for range 2 {
		if got := v.submit("/checkout", form); got.status != http.StatusSeeOther {
			t.Errorf("the same form again = %d, want the order's page", got.status)
		}
	}
	if count := line.orders(t); count != 2 {
		t.Errorf("%d orders, want 2", count)
	}
}
