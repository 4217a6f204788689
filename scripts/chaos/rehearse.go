package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/invariants"
)

// rehearsal is an outage by itself: what was predicted and what was seen.
type rehearsal struct {
	away                string
	lasted              time.Duration
	predicted, observed time.Duration
	because             string
}

const (
	outageLasts = 10 * time.Second
	beforehand  = 2 * time.Second
	// restart is what a process takes from its release to its work: a look at the
	// hold, the start, and Postgres' recovery.
	restart = 3 * time.Second
	// capacity is how many orders a small machine brings to their end in a second.
	capacity = 50.0
	// firstBackoff is the first wait of the KafkaSources in infra/knative/base;
	// each further one is twice the one before.
	firstBackoff = 400 * time.Millisecond
	// pings come once a minute.
	pings = time.Minute
	// rejoin is what a dispatcher takes to have its partitions: it gets the place of the
	// one before.
	rejoin = 2 * time.Second
	// evidenceWait is how long a mail isn't sent again of which nobody knows whether it
	// arrived: MAIL_EVIDENCE_WAIT as infra/local sets it.
	evidenceWait = 30 * time.Second
)

// lastBackoff is the longest wait that a delivery can have begun in an outage: the
// n-th begins after the sum of those before, which is one less than it is long.
func lastBackoff(outage time.Duration) time.Duration {
	wait := firstBackoff
	for wait-firstBackoff < outage {
		wait *= 2
	}
	return wait / 2
}

// predict says how long after its end an outage is felt, at most, and slow orders
// besides: those whose storefront didn't wait for the sink, as on a machine that does
// much else. They are order-recovery's then.
func (o *options) predict(away string, outage time.Duration, slow int) (time.Duration, string) {
	most, because := o.predictOutage(away, outage)
	if slow == 0 || leavesOrders(away) {
		return most, because
	}
	return most + unpublishedAfter + pings, fmt.Sprintf("%s; %d orders that the sink took too long for: order-recovery %s later and at the next minute", because, slow, unpublishedAfter)
}

// leavesOrders tells whether orders that come in an outage are left to order-recovery:
// a storefront takes them, and nobody delivers them again.
func leavesOrders(away string) bool {
	return away == processSink || away == processBroker || away == processPostgres
}

func (o *options) predictOutage(away string, outage time.Duration) (time.Duration, string) {
	backlog := time.Duration(o.Rate * (outage + beforehand).Seconds() / capacity * float64(time.Second))
	// Until it is at work again it is away still, and deliveries fail on.
	backoff := lastBackoff(outage + restart)
	again := restart + backoff + backlog
	switch away {
	case processSink, processBroker, processPostgres:
		// Without a database nobody notes that a sink has an event: it may be there, and
		// its order at its end, long before order-recovery has made sure.
		return again + unpublishedAfter + pings, fmt.Sprintf("restart %s, last backoff %s, then order-recovery %s after the order has last moved and at the next minute, backlog %s", restart, backoff, unpublishedAfter, round(backlog))
	case processMailbox:
		// A mail that was under way when it died waits for evidence, which nobody may
		// have; and the order's next mail, where it comes just when that one is sent
		// again, for that one.
		one, next := lastBackoff(evidenceWait), lastBackoff(evidenceWait+lastBackoff(evidenceWait))
		return max(again, evidenceWait+one+next-outage+backlog), fmt.Sprintf("evidence of a mail under way %s after its beginning, last backoff %s, the order's next mail %s, backlog %s", evidenceWait, one, next, round(backlog))
	case processSource:
		return restart + rejoin + backlog, fmt.Sprintf("restart %s, its partitions %s, backlog %s", restart, rejoin, round(backlog))
	default:
		return again, fmt.Sprintf("restart %s, last backoff %s, backlog %s", restart, backoff, round(backlog))
	}
}

// rehearse takes one part after the other away while customers order, and measures
// how long after its return all orders have come to rest.
func (s *chaos) rehearse(ctx context.Context) error {
	for _, away := range []string{processPostgres, processBroker, processSink, processSource, processPayment, processMailbox, processS3, "inventory-update"} {
		s.sayf("rehearsal: %s is away for %s", away, outageLasts)
		one, err := s.outage(ctx, away)
		if err != nil {
			return fmt.Errorf("rehearse %s: %w", away, err)
		}
		s.report.rehearsals = append(s.report.rehearsals, one)
		s.sayf("rehearsal: predicted %s at most, observed %s", round(one.predicted), round(one.observed))
	}
	return nil
}

func (s *chaos) outage(ctx context.Context, away string) (rehearsal, error) {
	customers, first := make(chan error, 1), time.Now()
	orders := int(s.options.Rate * (beforehand + outageLasts).Seconds())
	go func() {
		customers <- s.system.tool(ctx, filepath.Join(s.options.Tools, "simulate"), fmt.Sprintf("--orders=%d", orders),
			fmt.Sprintf("--rate=%g", s.options.Rate), "--concurrency=200", fmt.Sprintf("--seed=%d", s.options.Seed+1)).Run()
	}()
	pause(ctx, beforehand)
	signal := syscall.SIGKILL
	if away == processPostgres {
		signal = syscall.SIGQUIT
	}
	began := time.Now()
	defer s.system.release(away)
	if err := s.takeDown(ctx, away, signal); err != nil {
		return rehearsal{}, err
	}
	pause(ctx, outageLasts)
	s.system.release(away)
	back := time.Now()
	if err := <-customers; err != nil {
		return rehearsal{}, fmt.Errorf("customers: %w", err)
	}
	err := eventually(ctx, s.options.Settle, func() bool { return s.atRest(ctx) })
	one := rehearsal{away: away, lasted: back.Sub(began), observed: time.Since(back)}
	slow, counted := s.slowOrders(ctx, first)
	one.predicted, one.because = s.options.predict(away, one.lasted, slow)
	return one, errors.Join(err, counted)
}

// slowOrders counts the orders since a time that order-recovery had to send on.
func (s *chaos) slowOrders(ctx context.Context, since time.Time) (slow int, err error) {
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return 0, fmt.Errorf("count slow orders: %w", err)
	}
	defer db.Close(ctx) //nolint:errcheck // nothing depends on it
	err = db.QueryRow(ctx, `select count(*) from order_events
		where source = 'storefront' and occurred_at >= $1 and published_at >= occurred_at + make_interval(secs => $2)`,
		since, unpublishedAfter.Seconds()).Scan(&slow)
	if err != nil {
		return 0, fmt.Errorf("count slow orders: %w", err)
	}
	return slow, nil
}

// atRest tells whether all holds that must hold at rest.
func (s *chaos) atRest(ctx context.Context) bool {
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return false
	}
	defer db.Close(ctx) //nolint:errcheck // nothing depends on it
	all, err := invariants.All()
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(all, func(one invariants.Invariant) bool {
		if !one.AtRest {
			return false
		}
		violations, err := invariants.Check(ctx, db, one)
		return err != nil || len(violations) > 0
	})
}

func (r *report) outages(out io.Writer) {
	if len(r.rehearsals) == 0 {
		return
	}
	fmt.Fprintf(out, "\n## Outages\n\nFrom the return of what was away until all orders and mails are at rest:\n\n"+
		"| away | for | predicted at most | observed | predicted from |\n|---|---:|---:|---:|---|\n")
	for _, one := range r.rehearsals {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", one.away, round(one.lasted), round(one.predicted), round(one.observed), one.because)
	}
}
