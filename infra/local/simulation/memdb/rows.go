package memdb

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// result is what a statement gives: its rows, or how many it has changed.
type result struct {
	rows     [][]any
	affected int64
}

func (r result) tag() pgconn.CommandTag {
	return pgconn.NewCommandTag(fmt.Sprintf("UPDATE %d", r.affected))
}

func changed(n int) (result, error) { return result{affected: int64(n)}, nil }

func one(values ...any) (result, error) { return result{rows: [][]any{values}}, nil }

// rows are results as pgx.Rows.
type rows struct {
	pgx.Rows // what no function of ours calls

	result result
	at     int
}

// Next implements pgx.Rows.
func (r *rows) Next() bool {
	r.at++
	return r.at <= len(r.result.rows)
}

// Scan implements pgx.Rows.
func (r *rows) Scan(dest ...any) error { return scan(r.result.rows[r.at-1], dest) }

// Close implements pgx.Rows.
func (r *rows) Close() {}

// Err implements pgx.Rows.
func (r *rows) Err() error { return nil }

// row is a pgx.Row.
type row struct {
	result result
	err    error
}

// Scan implements pgx.Row.
func (r row) Scan(dest ...any) error {
	switch {
	case r.err != nil:
		return r.err
	case len(r.result.rows) == 0:
		return pgx.ErrNoRows
	}
	return scan(r.result.rows[0], dest)
}

var errScan = errors.New("memdb: can't scan")

func scan(values, dest []any) error {
	if len(values) != len(dest) {
		return fmt.Errorf("%w: %d columns into %d places", errScan, len(values), len(dest))
	}
	for i, value := range values {
		if err := assign(dest[i], value); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// assign puts a value into where it is wanted. What our statements give most
// often comes first; the rest is found out by reflection.
func assign(dest, value any) error {
	switch to := dest.(type) {
	case *string:
		if v, ok := value.(string); ok {
			*to = v
			return nil
		}
	case *time.Time:
		if v, ok := value.(time.Time); ok {
			*to = v
			return nil
		}
	case *uuid.UUID:
		if v, ok := value.(uuid.UUID); ok {
			*to = v
			return nil
		}
	}
	return reflected(reflect.ValueOf(dest).Elem(), value)
}

// fits keeps a number from becoming the string of its character.
func fits(from, to reflect.Value) bool {
	return from.CanConvert(to.Type()) && (to.Kind() == reflect.String) == (from.Kind() == reflect.String)
}

func null(to reflect.Value) error {
	if to.Kind() != reflect.Pointer && to.Kind() != reflect.Slice {
		return fmt.Errorf("%w: null into %s", errScan, to.Type())
	}
	to.SetZero()
	return nil
}

func reflected(to reflect.Value, value any) error {
	from := reflect.ValueOf(value)
	switch {
	case value == nil:
		return null(to)
	case to.Kind() == reflect.Pointer && from.Kind() != reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return reflected(to.Elem(), value)
	case from.Kind() == reflect.Pointer && from.IsNil():
		return null(to)
	case from.Kind() == reflect.Pointer && to.Kind() != reflect.Pointer:
		return reflected(to, from.Elem().Interface())
	case fits(from, to):
		to.Set(from.Convert(to.Type()))
	default:
		return fmt.Errorf("%w: %s into %s", errScan, from.Type(), to.Type())
	}
	return nil
}
