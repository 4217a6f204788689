package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/invariants"
)

// report prints each check with its result, and counts.
type report struct {
	out                io.Writer
	checks, violations int
	about              string
	orders             int64
	results            []invariants.Result
}

// invariants checks that our database is right in itself.
func (r *report) invariants(ctx context.Context, tx pgx.Tx, moving bool) error {
	list, err := invariants.All()
	if err != nil {
		return err
	}
	for _, one := range list {
		if moving && one.AtRest {
			continue
		}
		violations, err := invariants.Check(ctx, tx, one)
		if err != nil {
			return err
		}
		r.print(one.Name, one.Text, "", violations)
	}
	return nil
}

// compare checks that our database is right about the world.
func (r *report) compare(v view, w world) {
	for _, one := range comparisons() {
		violations, remark := one.run(v, w)
		r.print(one.name, one.text, " ("+remark+")", violations)
	}
}

func (r *report) print(name, text, remark string, violations []string) {
	r.checks++
	r.violations += len(violations)
	r.results = append(r.results, invariants.Result{Name: name, Text: text, Violations: violations})
	result := "ok  "
	if len(violations) > 0 {
		result = "FAIL"
	}
	fmt.Fprintf(r.out, "%s  %-40s %s%s\n", result, name, text, remark)
	for i, violation := range violations {
		if i == invariants.MaxViolations {
			fmt.Fprintf(r.out, "        and %d more\n", len(violations)-i)
			break
		}
		fmt.Fprintln(r.out, "       ", violation)
	}
}

// count says what the audit is about: a clean audit of nothing proves nothing.
func (r *report) count(ctx context.Context, tx pgx.Tx) error {
	var orders, shipped, cancelled, dead int64
	err := tx.QueryRow(ctx, `select count(*), count(*) filter (where status = 'shipped'), count(*) filter (where status = 'cancelled'),
		(select count(*) from dead_letters where state = 'open') from orders`).Scan(&orders, &shipped, &cancelled, &dead)
	if err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	r.orders = orders
	r.about = fmt.Sprintf("%d orders: %d shipped, %d cancelled, %d on their way. %d open dead letters.",
		orders, shipped, cancelled, orders-shipped-cancelled, dead)
	return nil
}

func (r *report) close() {
	fmt.Fprintf(r.out, "\n%s\n%d checks, %d violations\n", r.about, r.checks, r.violations)
}

// settle waits until all that must be true at rest is true, or the time is up;
// then the audit says what isn't.
func settle(ctx context.Context, db *pgx.Conn, limit time.Duration) error {
	list, err := invariants.All()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(limit)
	for {
		moving, err := anyMoving(ctx, db, list)
		if err != nil || !moving || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func anyMoving(ctx context.Context, db *pgx.Conn, list []invariants.Invariant) (bool, error) {
	for _, one := range list {
		if !one.AtRest {
			continue
		}
		violations, err := invariants.Check(ctx, db, one)
		if err != nil || len(violations) > 0 {
			return true, err
		}
	}
	return false, nil
}
