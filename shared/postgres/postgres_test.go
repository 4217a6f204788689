package postgres_test

import (
	"context"
	"errors"
	"log"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// allowed reads the values that a check constraint lists.
func allowed(t *testing.T, pool *pgxpool.Pool, constraint string) []string {
	t.Helper()
	var definition string
	err := pool.QueryRow(t.Context(), `select pg_get_constraintdef(oid) from pg_constraint where conname = $1`, constraint).Scan(&definition)
	if err != nil {
		t.Fatalf("read constraint %s: %v", constraint, err)
	}
	var values []string
	for i, part := range strings.Split(definition, "'") {
		if i%2 == 1 {
			values = append(values, part)
		}
	}
	slices.Sort(values)
	return values
}

// TestConstraintsAreTheTables holds SQL's lists equal to those in Go.
func TestConstraintsAreTheTables(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var statuses, reasons []string
	for _, status := range events.Statuses() {
		statuses = append(statuses, string(status))
	}
	for _, reason := range events.Reasons() {
		reasons = append(reasons, string(reason))
	}
	slices.Sort(statuses)
	slices.Sort(reasons)
	if diff := cmp.Diff(statuses, allowed(t, pool, "status_is_known")); diff != "" {
		t.Errorf("statuses (-Go +SQL):\n%s", diff)
	}
	if diff := cmp.Diff(reasons, allowed(t, pool, "reason_is_known")); diff != "" {
		t.Errorf("reasons (-Go +SQL):\n%s", diff)
	}
}

// TestMigrateBesideItself lets many processes start at once, as they do.
func TestMigrateBesideItself(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	if _, err := pool.Exec(t.Context(), `drop schema public cascade; create schema public`); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := postgres.Migrate(t.Context(), pool); err != nil {
				t.Errorf("Migrate() beside itself: %v", err)
			}
		})
	}
	group.Wait()
	stagetest.Place(t, pool, events.StatusShipped)
}

// TestMigrateUnderLoad lets somebody read for longer than a migration may wait:
// others must get through meanwhile, and the migration too once they are done.
func TestMigrateUnderLoad(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	if _, err := pool.Exec(t.Context(), `
		alter table orders drop column settled_at;
		delete from goose_db_version where version_id >= 2`); err != nil {
		t.Fatal(err)
	}
	reader, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback(context.WithoutCancel(t.Context()))
	if _, err := reader.Exec(t.Context(), `select from orders`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	go func() { migrated <- postgres.Migrate(t.Context(), pool) }()
	stagetest.AwaitBlocked(t, pool)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := pool.Exec(ctx, `select from orders`); err != nil {
		t.Errorf("others don't get through: %v", err)
	}
	if len(migrated) > 0 {
		t.Error("the migration didn't wait for who reads")
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Errorf("Migrate() = %v", err)
	}
	if _, err := pool.Exec(t.Context(), `select settled_at from orders`); err != nil {
		t.Errorf("after the migration: %v", err)
	}
}

func TestStockCannotBeOversold(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	stagetest.Place(t, pool, events.StatusPlaced)
	for _, statement := range []string{
		`update stock set reserved = on_hand + 1`,
		`update stock set on_hand = -1`,
		`update stock set on_hand = on_hand - 1`, // a unit that vanishes
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%q was allowed", statement)
		}
	}
}

func TestOpenKeepsSecrets(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://user:hunter2@host:notaport/db"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Open() = %v, want an error without the password", err)
	}
}

// A session that was paused inside a transaction ends while others still wait for
// its locks: a delivery may take 20 s, see stage's deadline.
func TestOpenEndsIdleTransactions(t *testing.T) {
	t.Parallel()
	var limit time.Duration
	err := postgrestest.New(t).QueryRow(t.Context(), `select current_setting('idle_in_transaction_session_timeout')::interval`).Scan(&limit)
	if err != nil || limit <= 0 || limit >= 20*time.Second {
		t.Errorf("a transaction may stand idle for %v (%v), want a limit below 20s", limit, err)
	}
}

func TestIsUnique(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	_, err := pool.Exec(t.Context(), `insert into order_contacts select * from order_contacts where order_id = $1`, order.ID)
	if constraint, ok := postgres.IsUnique(err); !ok || constraint != "order_contacts_pkey" {
		t.Errorf("IsUnique(%v) = %q, %t", err, constraint, ok)
	}
	if _, ok := postgres.IsUnique(errors.New("another")); ok {
		t.Error("IsUnique() takes any error")
	}
}

// Without an output, so that no test run ever writes to whatever listens there.
func ExampleOpen() {
	ctx := context.Background()
	pool, err := postgres.Open(ctx, postgres.Config{URL: "postgres://orderflow@localhost:5433/orderflow"})
	if err != nil {
		log.Print(err)
		return
	}
	defer pool.Close()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update stock set received = received + 10, on_hand = on_hand + 10 where sku = 'TABLE-QUINCE'`)
		return err
	})
	if err != nil {
		log.Print(err)
	}
}
