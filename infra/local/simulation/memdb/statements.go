package memdb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statement is what is known of one SQL statement.
type statement struct {
	// name is who asks and what, as "order-recovery LockDue".
	name string
	// hash is of the text that run was written for.
	hash string
	run  func(tx *Tx, args []any) (result, error)
}

// ErrUnknown is the error for a statement that isn't known as it stands.
var ErrUnknown = errors.New("memdb doesn't know this statement as it stands")

func statements() []statement {
	return slices.Concat(orderlogStatements(), storefrontStatements(), paymentStatements(), attemptStatements(), stockStatements(),
		shipmentStatements(), recoveryStatements(), analyticsStatements())
}

// Statements lists the names of what is known.
func Statements() []string {
	var names []string
	for _, known := range statements() {
		names = append(names, known.name)
	}
	return names
}

var byHash = sync.OnceValue(func() map[string]statement {
	known := map[string]statement{}
	for _, one := range statements() {
		known[one.hash] = one
	}
	return known
})

// byText keeps what was found, as texts come millions of times.
var byText sync.Map

// hashOf is the hash of a statement's text.
func hashOf(sql string) string {
	sum := sha256.Sum256([]byte(sql))
	return hex.EncodeToString(sum[:6])
}

func find(sql string) (statement, error) {
	if found, ok := byText.Load(sql); ok {
		return found.(statement), nil //nolint:forcetypeassert // stored below
	}
	found, known := byHash()[hashOf(sql)]
	if !known {
		return statement{}, fmt.Errorf("%w: %s, hash %s%s", ErrUnknown, told(sql), hashOf(sql), similar(sql))
	}
	byText.Store(sql, found)
	return found, nil
}

func nameOf(sql string) string {
	if found, err := find(sql); err == nil {
		return found.name
	}
	return told(sql)
}

// told is how to tell a statement by its first line.
func told(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	return fmt.Sprintf("%q", line)
}

// similar says where to look when a statement was changed and not made.
func similar(sql string) string {
	name, named := strings.CutPrefix(strings.TrimSpace(sql), "-- name: ")
	name, _, _ = strings.Cut(name, " ")
	var candidates []string
	for _, known := range statements() {
		if _, its, _ := strings.Cut(known.name, " "); named && its == name {
			candidates = append(candidates, known.name)
		}
	}
	if len(candidates) == 0 {
		return "; write it in Go in infra/local/simulation/memdb"
	}
	return "; it seems that " + strings.Join(candidates, " or ") + " was changed: look at the SQL and at the Go of the same name" +
		" in infra/local/simulation/memdb, make them do the same, and put the new hash there"
}

// statement runs one statement of a transaction.
func (tx *Tx) statement(sql string, args []any) (result, error) {
	known, err := find(sql)
	if err != nil {
		if tx.db.refused == nil {
			tx.db.refused = err
		}
		return result{}, err
	}
	if tx.failed {
		return result{}, &pgconn.PgError{Code: "25P02", Message: "current transaction is aborted"}
	}
	tx.on = nil
	out, err := known.run(tx, args)
	if wait := (*waiting)(nil); errors.As(err, &wait) {
		if !tx.deadlocks(wait.on) {
			tx.on = wait.on
			return result{}, err
		}
		err = &pgconn.PgError{Code: "40P01", Message: "deadlock detected"}
	}
	tx.failed = err != nil
	tx.db.tell(Op{
		Tx: tx.number, Kind: "statement", Now: tx.now, Name: known.name, SQL: sql, Args: args,
		Rows: out.rows, Affected: out.affected, Err: err,
	})
	return out, err
}

// deadlocks tells whether who is waited for waits for this transaction.
func (tx *Tx) deadlocks(on *Tx) bool {
	for ; on != nil; on = on.on {
		if on == tx {
			return true
		}
	}
	return false
}

// violation is the error of a constraint that a row breaks.
func violation(code, constraint string) error {
	return &pgconn.PgError{Code: code, ConstraintName: constraint, Message: "violates constraint " + constraint}
}

// given finds the first value that may not be null and is.
func given(values ...[]byte) error {
	for _, value := range values {
		if value == nil {
			return violation(notNull, "")
		}
	}
	return nil
}

const (
	notNull    = "23502"
	foreignKey = "23503"
	unique     = "23505"
	check      = "23514"
)

// checks finds the first constraint that doesn't hold, in the order of their
// names, as Postgres does.
type checks []struct {
	name  string
	holds bool
}

func (c checks) err() error {
	for _, one := range c {
		if !one.holds {
			return violation(check, one.name)
		}
	}
	return nil
}

var _ pgx.Tx = (*Tx)(nil)
