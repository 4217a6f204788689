// Package invariants holds what must always be true of the business, each as
// one SQL query that must return no row. They are run after every test under
// faults or load, by make audit, and shown to operators.
package invariants

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Invariant is one thing that must be true.
type Invariant struct {
	// Name is the query's file name without its suffix.
	Name string
	// Text says in a sentence what must be true.
	Text string
	// AtRest marks what may be untrue while orders are on their way.
	AtRest bool
	// SQL returns a row for each violation.
	SQL string
}

// MaxViolations is how many rows Check reads of one query.
const MaxViolations = 20

//go:embed sql/*.sql
var files embed.FS

// All lists the invariants, those that hold at every moment first.
func All() ([]Invariant, error) {
	entries, err := files.ReadDir("sql")
	if err != nil {
		return nil, fmt.Errorf("list invariants: %w", err)
	}
	var all []Invariant
	for _, entry := range entries {
		text, err := files.ReadFile("sql/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read invariant: %w", err)
		}
		one, err := parse(entry.Name(), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b Invariant) int {
		switch {
		case a.AtRest == b.AtRest:
			return 0
		case b.AtRest:
			return -1
		default:
			return 1
		}
	})
	return all, nil
}

// parse reads a file: one line of comment that says what must be true, then
// the query.
func parse(file, content string) (Invariant, error) {
	comment, query, found := strings.Cut(content, "\n")
	text, isComment := strings.CutPrefix(comment, "-- ")
	if !found || !isComment {
		return Invariant{}, fmt.Errorf("read invariant %s: it doesn't begin with a line that says what must be true", file)
	}
	text, atRest := strings.CutPrefix(text, "at rest: ")
	return Invariant{Name: strings.TrimSuffix(path.Base(file), ".sql"), Text: text, AtRest: atRest, SQL: query}, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Check runs one query and returns its violations, each as one line of names
// and values, MaxViolations of them at most.
func Check(ctx context.Context, db querier, one Invariant) ([]string, error) {
	rows, err := db.Query(ctx, fmt.Sprintf("select * from (%s) violation limit %d", one.SQL, MaxViolations)) //nolint:unqueryvet // the columns are the query's own
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", one.Name, err)
	}
	violations, err := pgx.CollectRows(rows, describe)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("check %s: %w", one.Name, err)
	}
	return violations, nil
}

func describe(row pgx.CollectableRow) (string, error) {
	values, err := row.Values()
	if err != nil {
		return "", err
	}
	var parts []string
	for i, field := range row.FieldDescriptions() {
		parts = append(parts, fmt.Sprintf("%s=%s", field.Name, show(values[i])))
	}
	return strings.Join(parts, " "), nil
}

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case [16]byte:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[0:4], v[4:6], v[6:8], v[8:10], v[10:])
	default:
		return fmt.Sprint(v)
	}
}
