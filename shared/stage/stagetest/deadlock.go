package stagetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Deadlocks counts those that Postgres has had to break in the test's database. A
// session tells of what it has seen when it ends, so all are ended: this is for the
// end of a test.
func Deadlocks(tb testing.TB, pool *pgxpool.Pool) int {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), pool.Config().ConnConfig)
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.WithoutCancel(tb.Context())) //nolint:errcheck // nothing depends on it
	if _, err := conn.Exec(tb.Context(), `select pg_terminate_backend(pid, 10000) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`); err != nil {
		tb.Fatalf("end sessions: %v", err)
	}
	pool.Reset()
	var deadlocks int
	if err := conn.QueryRow(tb.Context(), `select deadlocks from pg_stat_database where datname = current_database()`).Scan(&deadlocks); err != nil {
		tb.Fatalf("count deadlocks: %v", err)
	}
	return deadlocks
}

// WantNoDeadlock expects that there was none.
func WantNoDeadlock(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	if deadlocks := Deadlocks(tb, pool); deadlocks != 0 {
		tb.Errorf("Postgres has had to break %d deadlocks, want 0", deadlocks)
	}
}
