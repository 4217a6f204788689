package book

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
	"github.com/orderflow-project/orderflow/shared/invariants"
)

// Check is something that must be true, and what its last run has found.
type Check struct {
	Name, Text string
	// AtRest says that it may be untrue while orders are on their way.
	AtRest bool
	// RunAt is nil where it never ran.
	RunAt      *time.Time
	Violations int32
	Examples   []string
}

// Checks lists the invariants, and what the last audit has compared with the world.
func (b *Book) Checks(ctx context.Context) ([]Check, error) {
	all, err := invariants.All()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(all))
	for _, one := range all {
		names = append(names, one.Name)
	}
	rows, err := b.queries.LastChecks(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("find last runs: %w", err)
	}
	last := map[string]store.LastChecksRow{}
	for _, row := range rows {
		last[row.Name] = row
	}
	var checks []Check
	for _, one := range all {
		check := Check{Name: one.Name, Text: one.Text, AtRest: one.AtRest}
		if row, ran := last[one.Name]; ran {
			at := row.EndedAt.UTC()
			check.RunAt, check.Violations, check.Examples = &at, row.Violations, row.Examples
		}
		checks = append(checks, check)
	}
	others, err := b.queries.OtherChecks(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("find last runs: %w", err)
	}
	for _, row := range others {
		at := row.EndedAt.UTC()
		checks = append(checks, Check{Name: row.Name, Text: row.Says, RunAt: &at, Violations: row.Violations, Examples: row.Examples})
	}
	return checks, nil
}

// Audit is one time that everything was checked.
type Audit struct {
	ID         int64
	BeganAt    time.Time
	EndedAt    time.Time
	Moving     bool
	Orders     int64
	Violations int32
}

// Took is how long it took.
func (a Audit) Took() time.Duration { return a.EndedAt.Sub(a.BeganAt) }

// Audits lists them before one, latest first; from the last for 0.
func (b *Book) Audits(ctx context.Context, before int64, size int32) ([]Audit, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := b.queries.ListAudits(ctx, store.ListAuditsParams{Before: before, Page: size})
	if err != nil {
		return nil, fmt.Errorf("list audits: %w", err)
	}
	audits := make([]Audit, 0, len(rows))
	for _, row := range rows {
		audits = append(audits, Audit{
			ID: row.ID, BeganAt: row.BeganAt.UTC(), EndedAt: row.EndedAt.UTC(), Moving: row.Moving, Orders: row.Orders, Violations: row.Violations,
		})
	}
	return audits, nil
}
