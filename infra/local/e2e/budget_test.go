package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// spent is what one order costs, from its placing to the last mail's evidence.
type spent struct {
	// Statements are those that come over a connection, not what triggers run, and
	// without begin, commit, and what is done for whatever has gathered meanwhile:
	// noting that events are with their sinks, telling who watches, taking in the
	// mails' evidence.
	Statements float64
	// Transactions are those that write, gathered ones included. Each that isn't
	// gathered waits for the disk, if alone.
	Transactions float64
	// WALBytes are without pages that are written in full after a checkpoint.
	WALBytes float64
	// Hops are HTTP requests between processes.
	Hops float64
	// WireBytes go between processes, in both directions, from Postgres's protocol to
	// HTTP's headers.
	WireBytes float64
}

// The budget of an order of one article that ships: what was measured, and less than
// one more for what order-recovery asks each minute; a little more than that where
// chance has a greater part. Who makes an order dearer has to say so here.
func budget() spent {
	return spent{Statements: 57.9, Transactions: 28, WALBytes: 23_000, Hops: 20.9, WireBytes: 100_000}
}

// rounding is far less than what one order in a hundred costs.
const rounding = 1e-6

// over says what costs more than it may.
func (s spent) over(budget spent) error {
	var all []error
	for _, one := range []struct {
		what      string
		cost, may float64
	}{
		{"statements", s.Statements, budget.Statements},
		{"transactions", s.Transactions, budget.Transactions},
		{"bytes of WAL", s.WALBytes, budget.WALBytes},
		{"HTTP hops", s.Hops, budget.Hops},
		{"bytes on the wire", s.WireBytes, budget.WireBytes},
	} {
		if one.cost > one.may+rounding {
			all = append(all, fmt.Errorf("an order costs %.1f %s, and may cost %.1f", one.cost, one.what, one.may))
		}
	}
	return errors.Join(all...)
}

// meteredOrders are so many that what goes on besides, as order-recovery's looking
// around, is little to each.
const meteredOrders = 40

// TestBudget counts what an order costs. Nothing here is timed, so it's the same on
// any machine.
func TestBudget(t *testing.T) {
	s, m := meteredSystem(t)
	s.countStatements(t)
	s.orderAll(t, 10, nil) // statements are prepared, connections open, pages there
	cost := s.cost(t, m, nil)
	t.Logf("an order costs %+v", cost)
	if err := cost.over(budget()); err != nil {
		t.Error(err)
	}
	t.Run("a statement more is noticed", func(t *testing.T) {
		more := s.cost(t, m, func(db *pgxpool.Pool) error {
			_, err := db.Exec(t.Context(), `select 1`)
			return err
		})
		if err := more.over(cost); err == nil || !strings.Contains(err.Error(), "statements") {
			t.Errorf("with a statement more an order costs %+v, which says %v", more, err)
		}
	})
	s.audit(t)
}

// countStatements has Postgres count them, which takes a restart.
func (s *system) countStatements(t *testing.T) {
	t.Helper()
	db := s.database(t)
	for _, sql := range []string{
		`alter system set shared_preload_libraries = 'pg_stat_statements'`,
		// When a checkpoint comes is chance.
		`alter system set full_page_writes = off`,
		`alter system set autovacuum = off`,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	before := s.pid("postgres")
	if err := syscall.Kill(before, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "Postgres is back, and counts", time.Minute, func() bool {
		_, err := db.Exec(t.Context(), `create extension if not exists pg_stat_statements`)
		return err == nil && s.pid("postgres") != before
	})
}

// cost is what an order costs of some that are placed one after the other, with
// something done besides for each.
func (s *system) cost(t *testing.T, m *meter, besides func(*pgxpool.Pool) error) spent {
	t.Helper()
	before := s.counts(t, m)
	s.orderAll(t, meteredOrders, besides)
	after := s.counts(t, m)
	each := func(what func(spent) float64) float64 { return (what(after) - what(before)) / meteredOrders }
	return spent{
		Statements:   each(func(s spent) float64 { return s.Statements }),
		Transactions: each(func(s spent) float64 { return s.Transactions }),
		WALBytes:     each(func(s spent) float64 { return s.WALBytes }),
		Hops:         each(func(s spent) float64 { return s.Hops }),
		WireBytes:    each(func(s spent) float64 { return s.WireBytes }),
	}
}

// counts is what was counted so far. A transaction that writes has a number.
func (s *system) counts(t *testing.T, m *meter) spent {
	t.Helper()
	var now spent
	err := s.database(t).QueryRow(t.Context(), `/* budget */
		select (select sum(calls) from pg_stat_statements where toplevel and query !~ 'budget|pg_notify|published_at = now|RecordMailEvents' and query not in ('begin', 'commit'))::float8,
		       pg_snapshot_xmax(pg_current_snapshot())::text::float8,
		       (select wal_bytes from pg_stat_wal)::float8`).Scan(&now.Statements, &now.Transactions, &now.WALBytes)
	if err != nil {
		t.Fatal(err)
	}
	now.Hops, now.WireBytes = float64(m.requests.Load()), float64(m.bytes.Load())
	return now
}

// orderAll places orders, each when nothing is left to be done for the one before:
// what is done for several at once costs each of them less.
func (s *system) orderAll(t *testing.T, number int, besides func(*pgxpool.Pool) error) {
	t.Helper()
	db := s.database(t)
	for range number {
		made := s.place(t, basket(visa, line{"BREW-DRIPPER", 1}))
		if besides != nil {
			if err := besides(db); err != nil {
				t.Fatal(err)
			}
		}
		localtest.Eventually(t, "all is done for "+made.Number, time.Minute, func() bool {
			var done bool
			err := db.QueryRow(t.Context(), isDone, made.ID).Scan(&done)
			return err == nil && done
		})
	}
}

// isDone tells of an order whether it has shipped, every function has handled every
// event of it, each event is known to be with its sink, and both mails have arrived.
const isDone = `/* budget */
	select o.status = 'shipped'
		and (select count(*) from order_events e where e.order_id = o.id) = 12
		and (select count(*) from order_events e where e.order_id = o.id and e.published_at is not null) = 4
		and (select count(distinct e.message_id) from mail_events e where e.order_id = o.id and e.kind = 'delivered') = 2
	from orders o where o.id = $1`
