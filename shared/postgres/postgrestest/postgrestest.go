// Package postgrestest gives each test a database of its own, cloned from a
// template that has the schema. It is for tests only.
package postgrestest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/postgres"
)

// Variable names the environment variable with the server's URL.
const Variable = "TEST_DATABASE_URL"

// New makes a database with the schema in it, and a pool of up to 25
// connections to it, whose Config().ConnString() is its URL. The database goes
// with the test, unless the test fails: then it stays, and the log says where.
//
// Without a server the test fails; it never skips.
func New(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := postgres.Open(tb.Context(), postgres.Config{URL: NewURL(tb), MaxConns: 25})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// NewURL is New for those who connect themselves.
func NewURL(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(Variable)
	if server == "" {
		tb.Fatalf("%s is not set: run the tests by `make test`, which starts a Postgres for them", Variable)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	template, err := ensureTemplate(ctx, server)
	if err != nil {
		tb.Fatalf("prepare test database at %s: %v", Variable, err)
	}
	name := fmt.Sprintf("test_%016x", rand.Uint64())
	if err := exec(ctx, server, "create database "+name+" template "+template); err != nil {
		tb.Fatalf("clone test database: %v", err)
	}
	at := withDatabase(server, name)
	tb.Cleanup(func() { drop(tb, server, name, at) })
	return at
}

func drop(tb testing.TB, server, name, at string) {
	if tb.Failed() {
		tb.Logf("the test's database is kept: %s", at)
		return
	}
	// The test's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := exec(ctx, server, "drop database "+name+" with (force)"); err != nil {
		tb.Errorf("drop test database: %v", err)
	}
}

// ensureTemplate makes the template that belongs to the migrations as they
// are now, once per server, whoever comes first.
func ensureTemplate(ctx context.Context, server string) (string, error) {
	name, err := templateName()
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing depends on it
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", fmt.Errorf("lock template: %w", err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for template: %w", err)
	}
	if exists {
		return name, nil
	}
	return name, makeTemplate(ctx, conn, server, name)
}

// makeTemplate migrates under another name first: a template that exists is complete.
func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string) error {
	unfinished := name + "_unfinished"
	for _, statement := range []string{
		"drop database if exists " + unfinished + " with (force)",
		"create database " + unfinished,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make template: %w", err)
		}
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: withDatabase(server, unfinished)})
	if err != nil {
		return err
	}
	err = postgres.Migrate(ctx, pool)
	pool.Close()
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "alter database "+unfinished+" rename to "+name)
	return err
}

func templateName() (string, error) {
	sum := sha256.New()
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := fs.ReadFile(postgres.Migrations(), file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text)
	}
	return "template_" + hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func exec(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing depends on it
	_, err = conn.Exec(ctx, statement)
	return err
}

func withDatabase(server, name string) string {
	parsed, err := url.Parse(server)
	if err != nil {
		return server // Connect will say what is wrong with it
	}
	parsed.Path = "/" + name
	return parsed.String()
}
