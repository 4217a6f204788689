// Package analytics answers how the shop is doing, from the counts that
// order-analytics keeps.
package analytics

import (
	"errors"
	"fmt"
	"time"
)

const (
	// usual is the period that is shown if none is asked for.
	usual = 24 * time.Hour
	// minutesUpTo is the longest period that has figures for each minute.
	minutesUpTo = 24 * time.Hour
	// longest is the longest period that can be asked for: a quarter of a year.
	longest = 92 * 24 * time.Hour
	// firstYear and lastYear are a year within what can be written as RFC 3339,
	// so that a period's ends can be too.
	firstYear, lastYear = 1, 9998
)

// Period is a time of whole minutes, From included, To not.
type Period struct {
	From, To time.Time
	// ByMinute says that it is short enough to be shown minute by minute.
	ByMinute bool
}

// WrongError says what is wrong with a parameter.
type WrongError struct {
	// Parameter is its name.
	Parameter string
	// Detail is a sentence for who has sent it.
	Detail string
}

// Error implements error.
func (w WrongError) Error() string { return w.Parameter + ": " + w.Detail }

// ParsePeriod reads the two ends of a period, RFC 3339 or empty: the end is now
// then, and the beginning a day before the end. Minutes that the period only
// touches are part of it.
func ParsePeriod(from, to string, now time.Time) (Period, error) {
	end, toErr := parseTime("to", to, now)
	begin, fromErr := parseTime("from", from, end.Add(-usual))
	if err := errors.Join(fromErr, toErr); err != nil {
		return Period{}, err
	}
	length := end.Sub(begin)
	switch {
	case length <= 0:
		return Period{}, WrongError{"from", "This must be before the end of the period."}
	case length > longest:
		return Period{}, WrongError{"from", fmt.Sprintf("The period may be %d days long.", int(longest.Hours()/24))}
	}
	return Period{From: begin.Truncate(time.Minute), To: ceil(end), ByMinute: length <= minutesUpTo}, nil
}

func parseTime(parameter, value string, otherwise time.Time) (time.Time, error) {
	at := otherwise
	if value != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, value); err != nil {
			return otherwise, WrongError{parameter, "This must be a time like 2026-11-22T12:00:00Z."}
		}
	}
	at = at.UTC()
	if at.Year() < firstYear || at.Year() > lastYear {
		return otherwise, WrongError{parameter, fmt.Sprintf("This must be in the years %d to %d.", firstYear, lastYear)}
	}
	return at, nil
}

func ceil(at time.Time) time.Time {
	whole := at.Truncate(time.Minute)
	if whole.Before(at) {
		return whole.Add(time.Minute)
	}
	return whole
}
