package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// recorded is what a world did to its database, and what the tables were like after
// each commit.
type recorded struct {
	ops    []memdb.Op
	tables map[int]memdb.Tables
	db     *memdb.DB
	seed   uint64
}

func record(t *testing.T, seed uint64) recorded {
	t.Helper()
	made := recorded{tables: map[int]memdb.Tables{}, seed: seed}
	synctest.Test(t, func(*testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(drawn(random))
		defer w.end()
		made.db = w.db
		w.db.Watch(func(op memdb.Op) {
			w.watch(op)
			op.Rows = slices.Clone(op.Rows)
			made.ops = append(made.ops, op)
			if op.Kind == "commit" {
				made.tables[len(made.ops)] = w.db.Tables()
			}
		})
		g := gambler{random, 6, seed%2 == 0}
		for range ordersOfWorld * 60 {
			w.do(g.choose(w))
		}
		w.outage()
		w.rest()
	})
	return made
}

// What memdb does with the statements of our functions, Postgres does too: the same
// rows, the same errors, and the same tables after each commit.
func TestPostgresDoesTheSame(t *testing.T) {
	t.Parallel()
	ran := map[string]int{}
	for seed := range uint64(3) {
		made := record(t, 77+seed)
		server := openServer(t, made)
		for i, op := range made.ops {
			server.run(op)
			if op.Kind == "statement" {
				ran[op.Name]++
			}
			if tables, taken := made.tables[i+1]; taken {
				server.compareTables(tables, fmt.Sprintf("seed %d, commit of transaction %d", made.seed, op.Tx))
			}
			if t.Failed() {
				return
			}
		}
	}
	for _, name := range memdb.Statements() {
		if ran[name] == 0 {
			t.Errorf("%s is known, but never run", name)
		}
	}
	t.Logf("compared %d kinds of statements: %v", len(ran), ran)
}

// Nor do they differ about statements that break a constraint, or that are about
// things that aren't there.
func TestPostgresRefusesTheSame(t *testing.T) {
	t.Parallel()
	made := record(t, 78)
	server := openServer(t, made)
	for _, op := range made.ops {
		server.run(op)
	}
	random := rand.New(rand.NewPCG(5, 0))
	session, refused := made.db.Session(memdb.AtOnce), map[string]int{}
	var now time.Time
	var last memdb.Op
	made.db.Watch(func(op memdb.Op) { last = op })
	for _, op := range made.ops {
		now = op.Clock
	}
	made.db.SetClock(func() time.Time { return now })
	for n := range 3000 {
		op := made.ops[random.IntN(len(made.ops))]
		if op.Kind != "statement" || op.Name == "orderlog synchronousCommit" || op.Name == "orderlog notify" {
			continue
		}
		now = now.Add(time.Second)
		_, _ = session.Exec(t.Context(), op.SQL, spoil(random, made, op.Args)...) // what comes of it is in last
		server.run(last)
		if code := codeOf(last.Err); code != "" {
			refused[code]++
		}
		if n%50 == 0 {
			server.compareTables(made.db.Tables(), "spoilt statement "+last.Name)
		}
		if t.Failed() {
			t.Fatalf("%s with %v", last.Name, last.Args)
		}
	}
	if len(refused) < 12 {
		t.Errorf("only %d kinds of refusals came up: %v", len(refused), refused)
	}
	t.Logf("refused: %v", refused)
}

// server is a Postgres whose clock is the world's.
type server struct {
	t    *testing.T
	pool *pgxpool.Pool
	txs  map[int]pgx.Tx
}

// clock takes the place of Postgres's own, for who looks for functions there first.
const clock = `
create schema clock;
create function clock.now() returns timestamptz language sql stable as $$ select current_setting('clock.now')::timestamptz $$;
create function clock.clock_timestamp() returns timestamptz language sql volatile as $$ select current_setting('clock.statement')::timestamptz $$`

func openServer(t *testing.T, made recorded) *server {
	t.Helper()
	config, err := pgxpool.ParseConfig(postgrestest.NewURL(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 40
	// Whoever waits for a lock here would have waited in memdb.
	config.ConnConfig.RuntimeParams = map[string]string{"search_path": "clock,pg_catalog,public", "lock_timeout": "2s", "timezone": "UTC"}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t, pool, map[int]pgx.Tx{}}
	t.Cleanup(s.close)
	if _, err := pool.Exec(t.Context(), clock); err != nil {
		t.Fatal(err)
	}
	for _, article := range drawnBy(made.seed).articles {
		if _, err := pool.Exec(t.Context(), `with p as (insert into products (sku, name, description, category, price_amount, currency)
			values ($1, $2, '', '', $3, 'EUR')) insert into stock (sku, opening, on_hand) values ($1, $4, $4)`,
			article.sku, "Article "+article.sku, article.price, article.stock); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *server) close() {
	for _, tx := range s.txs {
		_ = tx.Rollback(context.Background()) // what is left open is of no interest
	}
	s.pool.Close()
}

// querier is a transaction, or the one statement that is one.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (s *server) run(op memdb.Op) {
	s.t.Helper()
	ctx := s.t.Context()
	tx := s.txs[op.Tx]
	var err error
	switch op.Kind {
	case "begin":
		s.txs[op.Tx], err = s.pool.Begin(ctx)
	case "commit":
		err = tx.Commit(ctx)
		delete(s.txs, op.Tx)
	case "rollback":
		err = tx.Rollback(ctx)
		delete(s.txs, op.Tx)
	default:
		s.statement(tx, op)
	}
	if err != nil {
		s.t.Errorf("%s of transaction %d: %v", op.Kind, op.Tx, err)
	}
}

func (s *server) statement(tx pgx.Tx, op memdb.Op) {
	s.t.Helper()
	var on querier = tx
	if op.Tx == 0 {
		alone, err := s.pool.Acquire(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		defer alone.Release()
		on = alone
	}
	got, err := s.ask(on, op)
	if wanted, failed := codeOf(op.Err), codeOf(err); wanted != failed || (err != nil && failed == "") {
		s.t.Errorf("%s: Postgres says %v, memdb %v", op.Name, err, op.Err)
		return
	}
	if want := told(op); err == nil && got != want {
		s.t.Errorf("%s with %v:\nPostgres %s\nmemdb    %s", op.Name, op.Args, got, want)
	}
}

func (s *server) ask(on querier, op memdb.Op) (string, error) {
	if _, err := pgx.CollectRows(must(on.Query(s.t.Context(), "select set_config('clock.now', $1, false), set_config('clock.statement', $2, false)",
		op.Now.Format(time.RFC3339Nano), op.Clock.Format(time.RFC3339Nano))), pgx.RowToMap); err != nil {
		return "", err
	}
	rows, err := on.Query(s.t.Context(), op.SQL, op.Args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return "", err
		}
		lines = append(lines, line(values))
	}
	if rows.Err() != nil || len(rows.FieldDescriptions()) > 0 {
		return list(op.Name, lines), rows.Err()
	}
	return fmt.Sprint(rows.CommandTag().RowsAffected()), nil
}

func must(rows pgx.Rows, err error) pgx.Rows {
	if err != nil {
		panic(err) // the statement is right above
	}
	return rows
}

// told is what memdb says, in the way that Postgres does.
func told(op memdb.Op) string {
	var lines []string
	for _, row := range op.Rows {
		lines = append(lines, line(row))
	}
	if len(op.Rows) > 0 || op.Affected == 0 && asks(op.SQL) {
		return list(op.Name, lines)
	}
	return fmt.Sprint(op.Affected)
}

// asks tells a question from a change.
func asks(sql string) bool {
	for text := range strings.SplitSeq(strings.TrimSpace(sql), "\n") {
		if !strings.HasPrefix(text, "--") && strings.TrimSpace(text) != "" {
			return strings.HasPrefix(text, "select") || strings.Contains(sql, "select placed_at from placed") || strings.Contains(sql, "with reader as")
		}
	}
	return false
}

// list is rows in the order that they came in, if the statement has one.
func list(name string, lines []string) string {
	if name == "storefront FindProducts" {
		slices.Sort(lines)
	}
	return "[" + strings.Join(lines, "; ") + "]"
}

// codeOf is what Postgres calls an error, with the constraint that it is about.
func codeOf(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return ""
	}
	return strings.TrimSpace(refused.Code + " " + refused.ConstraintName)
}
