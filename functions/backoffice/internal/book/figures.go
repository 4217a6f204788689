package book

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
)

// Span is a period that figures are shown of, and in which steps.
type Span struct {
	Name, Label string
	Length      time.Duration
	// Unit is minute, hour or day.
	Unit string
	Step time.Duration
}

const day = 24 * time.Hour

// Spans are those that can be chosen.
func Spans() []Span {
	return []Span{
		{"hour", "An hour, by minute", time.Hour, "minute", time.Minute},
		{"6-hours", "6 hours, by minute", 6 * time.Hour, "minute", time.Minute},
		{"day", "A day, by hour", day, "hour", time.Hour},
		{"week", "A week, by hour", 7 * day, "hour", time.Hour},
		{"month", "30 days, by day", 30 * day, "day", day},
		{"quarter", "92 days, by day", 92 * day, "day", day},
		{"year", "A year, by day", 366 * day, "day", day},
	}
}

// SpanOf finds a span by its name; a day where there is none of it.
func SpanOf(name string) Span {
	for _, span := range Spans() {
		if span.Name == name {
			return span
		}
	}
	return Spans()[2]
}

// Series are the figures of a span, with a bucket for each step, also where nothing
// happened in it.
type Series struct {
	Span    Span
	Buckets []analytics.Bucket
	Totals  analytics.Figures
}

// Series looks up a span that ends now.
func (b *Book) Series(ctx context.Context, span Span) (Series, error) {
	now, err := b.queries.Now(ctx)
	if err != nil {
		return Series{}, fmt.Errorf("read clock: %w", err)
	}
	to := now.UTC().Truncate(span.Step).Add(span.Step)
	from := to.Add(-span.Length)
	counts, err := b.counts(ctx, span.Unit, from, to)
	if err != nil {
		return Series{}, err
	}
	return fill(span, from, to, counts), nil
}

func (b *Book) counts(ctx context.Context, unit string, from, to time.Time) ([]analytics.Count, error) {
	var counts []analytics.Count
	if unit == "minute" {
		rows, err := b.queries.SumFigures(ctx, store.SumFiguresParams{Unit: unit, FromMinute: from, ToMinute: to})
		if err != nil {
			return nil, fmt.Errorf("sum figures: %w", err)
		}
		for _, row := range rows {
			counts = append(counts, analytics.Count(row))
		}
		return counts, nil
	}
	rows, err := b.queries.SumRollups(ctx, store.SumRollupsParams{Unit: unit, FromStart: from, ToStart: to})
	if err != nil {
		return nil, fmt.Errorf("sum figures: %w", err)
	}
	for _, row := range rows {
		counts = append(counts, analytics.Count(row))
	}
	return counts, nil
}

// fill makes a bucket for each step, and adds the counts to those.
func fill(span Span, from, to time.Time, counts []analytics.Count) Series {
	series := Series{Span: span, Totals: analytics.NewFigures()}
	for at := from; at.Before(to); at = at.Add(span.Step) {
		series.Buckets = append(series.Buckets, analytics.Bucket{Start: at, Figures: analytics.NewFigures()})
	}
	for _, count := range counts {
		if i := int(count.Start.Sub(from) / span.Step); i >= 0 && i < len(series.Buckets) {
			series.Buckets[i].Add(count)
			series.Totals.Add(count)
		}
	}
	return series
}

// Flow is how many orders stand at a step now.
type Flow struct {
	Status        string
	Orders, Stuck int64
}

// StageTime is how long orders take for a step: half of them no longer than Median,
// and 95 of 100 no longer than Slow.
type StageTime struct {
	Name         string
	Median, Slow time.Duration
	Orders       int64
}

// Today is the shop at a glance.
type Today struct {
	At time.Time
	// Figures are of the day so far, by UTC, and Lately those of the last five whole minutes.
	Figures, Lately analytics.Figures
	Flow            []Flow
	Stages          []StageTime
	Stuck           int64
	Letters         int64
	Unsent          int64
	LowStock        int64
	// LastAudit and LastClean are nil where there was none.
	LastAudit *Audit
	LastClean *time.Time
}

// sample is of how many orders the times of the stages are.
const sample = 500

// Now looks up the shop at a glance.
func (b *Book) Now(ctx context.Context, low int64) (Today, error) {
	now, err := b.queries.Now(ctx)
	if err != nil {
		return Today{}, fmt.Errorf("read clock: %w", err)
	}
	today := Today{At: now.UTC(), Figures: analytics.NewFigures(), Lately: analytics.NewFigures()}
	minute := today.At.Truncate(time.Minute)
	hours, failed := b.counts(ctx, "day", today.At.Truncate(day), today.At.Truncate(day).Add(day))
	minutes, err := b.counts(ctx, "minute", minute.Add(-5*time.Minute), minute)
	for _, count := range hours {
		today.Figures.Add(count)
	}
	for _, count := range minutes {
		today.Lately.Add(count)
	}
	return today, errors.Join(failed, err, b.flow(ctx, &today), b.troubles(ctx, &today, low), b.proof(ctx, &today))
}

func (b *Book) flow(ctx context.Context, today *Today) error {
	rows, err := b.queries.CountFlow(ctx)
	if err != nil {
		return fmt.Errorf("count orders on their way: %w", err)
	}
	for _, status := range []events.Status{events.StatusPlaced, events.StatusPaymentVerified, events.StatusInventoryUpdated} {
		standing := Flow{Status: string(status)}
		for _, row := range rows {
			if row.Status == standing.Status {
				standing.Orders, standing.Stuck = row.Orders, row.Stuck
			}
		}
		today.Flow = append(today.Flow, standing)
		today.Stuck += standing.Stuck
	}
	times, err := b.StageTimes(ctx)
	today.Stages = times
	return err
}

// StageTimes are those of the last orders that were shipped, in the order of the steps.
func (b *Book) StageTimes(ctx context.Context) ([]StageTime, error) {
	rows, err := b.queries.StageTimes(ctx, sample)
	if err != nil {
		return nil, fmt.Errorf("time stages: %w", err)
	}
	var stages []StageTime
	for _, kind := range events.Catalog() {
		for _, row := range rows {
			if row.Name == kind.Name {
				stages = append(stages, StageTime{
					Name: row.Name, Orders: row.Orders, Median: seconds(row.Median), Slow: seconds(row.Slow),
				})
			}
		}
	}
	return stages, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (b *Book) troubles(ctx context.Context, today *Today, low int64) error {
	var letters, mails, stock error
	today.Letters, letters = b.queries.CountOpenLetters(ctx)
	today.Unsent, mails = b.queries.CountMailsNotSent(ctx)
	today.LowStock, stock = b.queries.CountLowStock(ctx, low)
	return errors.Join(letters, mails, stock)
}

func (b *Book) proof(ctx context.Context, today *Today) error {
	last, err := b.Audits(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(last) > 0 {
		today.LastAudit = &last[0]
	}
	clean, err := b.queries.LastCleanAudit(ctx)
	if err != nil {
		return fmt.Errorf("find last clean audit: %w", err)
	}
	if len(clean) > 0 {
		at := clean[0].EndedAt.UTC()
		today.LastClean = &at
	}
	return nil
}
