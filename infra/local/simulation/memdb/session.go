package memdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrDead is what the calls of a process get that has died.
var ErrDead = errors.New("the process has died")

// Session is the connections of one process: a postgres.Pool.
type Session struct {
	db   *DB
	turn Turn
	open map[*Tx]bool
	// dead says that the process is gone.
	dead bool
}

// Session makes a session whose calls take the turns that they are given.
func (db *DB) Session(turn Turn) *Session {
	return &Session{db: db, turn: turn, open: map[*Tx]bool{}}
}

// Kill ends the session as the death of its process does: what isn't committed
// is rolled back.
func (s *Session) Kill() {
	s.dead = true
	for _, tx := range slices.SortedFunc(maps.Keys(s.open), func(a, b *Tx) int { return cmp.Compare(a.number, b.number) }) {
		tx.finish(false)
	}
}

// Begin implements postgres.Pool. It is no call of its own: what the database
// learns of a transaction it learns by its first statement.
func (s *Session) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.dead {
		return nil, ErrDead
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.db.txs++
	tx := &Tx{session: s, db: s.db, number: s.db.txs, now: s.db.now()}
	s.open[tx] = true
	s.db.tell(Op{Tx: tx.number, Kind: "begin", Now: tx.now})
	return tx, nil
}

// Exec implements postgres.Pool.
func (s *Session) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	out, err := s.run(ctx, sql, args)
	return out.tag(), err
}

// Query implements postgres.Pool.
func (s *Session) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	out, err := s.run(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	return &rows{result: out}, nil
}

// QueryRow implements postgres.Pool.
func (s *Session) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	out, err := s.run(ctx, sql, args)
	return row{out, err}
}

// run runs a statement in a transaction of its own.
func (s *Session) run(ctx context.Context, sql string, args []any) (out result, err error) {
	var tx *Tx
	lost := s.turn(ctx, nameOf(sql), func() bool {
		if tx == nil {
			tx = &Tx{session: s, db: s.db, now: s.db.now()}
			s.open[tx] = true
		}
		if out, err = tx.statement(sql, args); isWaiting(err) {
			return false
		}
		tx.finish(err == nil)
		return true
	})
	if lost != nil {
		if tx != nil {
			tx.finish(false)
		}
		return result{}, fmt.Errorf("connection to memdb: %w", lost)
	}
	return out, err
}

func isWaiting(err error) bool {
	var wait *waiting
	return errors.As(err, &wait)
}

// Tx is a transaction: a pgx.Tx.
type Tx struct {
	pgx.Tx // what no function of ours calls

	session *Session
	db      *DB
	number  int
	now     instant
	ends    []func(commit bool)
	ended   bool
	// failed says that a statement failed, after which Postgres takes no other.
	failed bool
	// on is the transaction that this one waits for.
	on *Tx
}

// finish ends the transaction and lets go of its rows.
func (tx *Tx) finish(commit bool) {
	tx.db.mu.Lock()
	defer tx.db.mu.Unlock()
	if tx.ended {
		return
	}
	tx.ended = true
	delete(tx.session.open, tx)
	for _, end := range tx.ends {
		end(commit)
	}
	if tx.number > 0 {
		kind := "rollback"
		if commit {
			kind = "commit"
		}
		tx.db.tell(Op{Tx: tx.number, Kind: kind, Now: tx.now})
	}
}

// call gives one call of the transaction its turn. Whoever loses the connection
// loses the transaction.
func (tx *Tx) call(ctx context.Context, what string, attempt func() bool) error {
	if tx.ended {
		return pgx.ErrTxClosed
	}
	if err := tx.session.turn(ctx, what, func() bool { return tx.ended || attempt() }); err != nil {
		tx.finish(false)
		return fmt.Errorf("connection to memdb: %w", err)
	}
	return nil
}

// Commit implements pgx.Tx.
func (tx *Tx) Commit(ctx context.Context) error {
	if tx.ended {
		return pgx.ErrTxClosed
	}
	failed := tx.failed
	err := tx.call(ctx, "commit", func() bool { tx.finish(!failed); return true })
	if err == nil && failed {
		return pgx.ErrTxCommitRollback
	}
	return err
}

// Rollback implements pgx.Tx. It can't fail: a connection that is lost is rolled
// back as well.
func (tx *Tx) Rollback(context.Context) error {
	if tx.ended {
		return pgx.ErrTxClosed
	}
	tx.finish(false)
	return nil
}

func (tx *Tx) run(ctx context.Context, sql string, args []any) (out result, err error) {
	lost := tx.call(ctx, nameOf(sql), func() bool {
		out, err = tx.statement(sql, args)
		return !isWaiting(err)
	})
	if lost != nil {
		return result{}, lost
	}
	return out, err
}

// Exec implements pgx.Tx.
func (tx *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	out, err := tx.run(ctx, sql, args)
	return out.tag(), err
}

// Query implements pgx.Tx.
func (tx *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	out, err := tx.run(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	return &rows{result: out}, nil
}

// QueryRow implements pgx.Tx.
func (tx *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	out, err := tx.run(ctx, sql, args)
	return row{out, err}
}

// SendBatch implements pgx.Tx. All statements of a batch are one call.
func (tx *Tx) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	made := &batchResults{queued: batch.QueuedQueries}
	next := 0
	made.err = tx.call(ctx, nameOf(batch.QueuedQueries[0].SQL), func() bool {
		for ; next < len(batch.QueuedQueries) && made.failed == nil; next++ {
			out, err := tx.statement(batch.QueuedQueries[next].SQL, batch.QueuedQueries[next].Arguments)
			if isWaiting(err) {
				return false
			}
			made.results, made.failed = append(made.results, out), err
		}
		return true
	})
	return made
}

// batchResults hands the results to the functions that the batch was queued with.
type batchResults struct {
	pgx.BatchResults // what no function of ours calls

	queued  []*pgx.QueuedQuery
	results []result
	// err is of the connection, failed of the last statement that was run.
	err, failed error
}

// Close implements pgx.BatchResults.
func (b *batchResults) Close() error {
	if b.err != nil {
		return b.err
	}
	for i, query := range b.queued[:len(b.results)] {
		if i == len(b.results)-1 && b.failed != nil {
			return b.failed
		}
		if query.Fn == nil {
			continue
		}
		if err := query.Fn(single{result: b.results[i]}); err != nil {
			return err
		}
	}
	return nil
}

// single is the results of a batch as the function of one of its queries sees them.
type single struct {
	pgx.BatchResults // what no function of ours calls

	result result
}

// QueryRow implements pgx.BatchResults.
func (s single) QueryRow() pgx.Row { return row{s.result, nil} }

// Query implements pgx.BatchResults.
func (s single) Query() (pgx.Rows, error) { return &rows{result: s.result}, nil }

// Exec implements pgx.BatchResults.
func (s single) Exec() (pgconn.CommandTag, error) { return s.result.tag(), nil }

// Close implements pgx.BatchResults.
func (s single) Close() error { return nil }
