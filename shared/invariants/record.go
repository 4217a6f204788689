package invariants

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Result is what one check has found.
type Result struct {
	Name, Text string
	Violations []string
}

// Run is an audit that is over.
type Run struct {
	// BeganAt is by the database's clock.
	BeganAt time.Time
	// Moving says that orders were on their way, so that some checks were left out.
	Moving bool
	// Orders is how many there were.
	Orders  int64
	Results []Result
}

// recorder is a pool or a connection.
type recorder interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Now is the time of the database.
func Now(ctx context.Context, db recorder) (time.Time, error) {
	var now time.Time
	if err := db.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return now, fmt.Errorf("read clock: %w", err)
	}
	return now, nil
}

// maxExamples bounds what is kept of the violations of a check.
const maxExamples = 5

const (
	recordRun = `
insert into audits (began_at, ended_at, moving, orders, violations) values ($1, clock_timestamp(), $2, $3, $4) returning id`
	recordResult = `
insert into audit_checks (audit_id, name, says, violations, examples) values ($1, $2, $3, $4, $5)`
)

// Record keeps a run and what each of its checks has found, for operators.
func Record(ctx context.Context, db recorder, run Run) error {
	violations := 0
	for _, result := range run.Results {
		violations += len(result.Violations)
	}
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, recordRun, run.BeganAt, run.Moving, run.Orders, violations).Scan(&id); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for _, result := range run.Results {
			examples := append([]string{}, result.Violations[:min(maxExamples, len(result.Violations))]...)
			batch.Queue(recordResult, id, result.Name, result.Text, len(result.Violations), examples)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("record audit: %w", err)
	}
	return nil
}
