package stagetest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// AwaitBlocked waits until a statement in the test's database waits for a lock.
func AwaitBlocked(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	Await(tb, pool, `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`)
}

// AwaitUnblocked waits until no statement in the test's database waits for a lock.
func AwaitUnblocked(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	Await(tb, pool, `select not exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`)
}

// AwaitIdle waits until nobody else is at work in the test's database.
func AwaitIdle(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	Await(tb, pool, `select not exists (select from pg_stat_activity
	       where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid() and backend_type = 'client backend')`)
}

// Await asks the database until the answer is yes, for 15 s at most.
func Await(tb testing.TB, pool *pgxpool.Pool, question string, args ...any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 15*time.Second)
	defer cancel()
	for {
		var yes bool
		if err := pool.QueryRow(ctx, question, args...).Scan(&yes); err != nil {
			tb.Fatalf("wait for %q: %v", question, err)
		}
		if yes {
			return
		}
	}
}
