package memdb

import (
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
)

// instant is a time, to the microsecond.
type instant = time.Time

// arg is an argument of a statement. The types are sqlc's, so another one is a
// statement that has changed.
func arg[T any](args []any, i int) T {
	value, ok := args[i].(T)
	if !ok {
		panic(fmt.Sprintf("memdb: argument %d is a %T", i+1, args[i]))
	}
	return value
}

func id(args []any, i int) uuid.UUID { return arg[uuid.UUID](args, i) }

// text is an argument that is a string or a type made of one.
func text(args []any, i int) string {
	if plain, ok := args[i].(string); ok {
		return plain
	}
	return reflect.ValueOf(args[i]).String()
}

// orNull is nullif(text, ”).
func orNull(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func or(value *string, other string) string {
	if value == nil {
		return other
	}
	return *value
}

func at(args []any, i int) instant { return stored(arg[time.Time](args, i)) }

func atOrNull(args []any, i int) *instant {
	value := arg[*time.Time](args, i)
	if value == nil {
		return nil
	}
	kept := stored(*value)
	return &kept
}

// stored is a time as Postgres keeps it.
func stored(t time.Time) instant { return t.UTC().Truncate(time.Microsecond) }

// seconds is make_interval(secs => s), which rounds.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}
