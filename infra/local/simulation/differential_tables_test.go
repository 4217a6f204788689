package simulation

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
)

// questions ask Postgres for its tables, in the columns and the order of memdb's.
var questions = []struct {
	table, sql string
	rows       func(memdb.Tables) any
}{
	{"stock", "select sku, opening, received, on_hand, reserved, shipped from stock order by sku collate \"C\"", func(t memdb.Tables) any { return t.Stock }},
	{
		"orders", `select id, number, status, cancel_reason, total_amount, currency, payment_method, placed_at, updated_at, resends, resend_after, settled_at
		from orders order by id`, func(t memdb.Tables) any { return t.Orders },
	},
	{
		"order_contacts", "select order_id, name, email, line1, line2, city, postal_code, country, language from order_contacts order by order_id",
		func(t memdb.Tables) any { return t.Contacts },
	},
	{"order_lines", "select order_id, line, sku, name, quantity, price_amount from order_lines order by order_id, line", func(t memdb.Tables) any { return t.Lines }},
	{
		"order_events", "select order_id, name, source, cause, type, data, traceparent, occurred_at, published_at, position from order_events order by position",
		func(t memdb.Tables) any { return t.Events },
	},
	{
		"payments", "select order_id, provider_id, state, amount, currency, decline_code, authorised_at, captured_at, closed_at from payments order by order_id",
		func(t memdb.Tables) any { return t.Payments },
	},
	{
		"payment_attempts", `select order_id, step, key, request_hash, amount, currency, source, cause, started_at, ended_at, outcome, asked,
		provider_id, failure, id from payment_attempts order by id`, func(t memdb.Tables) any { return t.Attempts },
	},
	{
		"reservations", "select order_id, sku, quantity, state from reservations order by order_id, sku collate \"C\"",
		func(t memdb.Tables) any { return t.Reservations },
	},
	{
		"shipments", "select order_id, carrier, tracking_number, label_key, label_sha256, prepared_at from shipments order by order_id",
		func(t memdb.Tables) any { return t.Shipments },
	},
	{
		"analytics_minutes", "select minute, metric, dimension, shard, value from analytics_minutes order by minute, metric collate \"C\", dimension collate \"C\", shard",
		func(t memdb.Tables) any { return t.Counts },
	},
	{
		"dead_letters", `select event_id, event_source, event_type, subject, error_dest, error_data, event, state, times, first_at, last_at
		from dead_letters order by event_source collate "C", event_id collate "C"`, func(t memdb.Tables) any { return t.Letters },
	},
}

func (s *server) compareTables(want memdb.Tables, when string) {
	s.t.Helper()
	for _, q := range questions {
		got, err := pgx.CollectRows(must(s.pool.Query(s.t.Context(), q.sql)), func(row pgx.CollectableRow) (string, error) {
			values, err := row.Values()
			if err == nil && (q.table == "order_events" || q.table == "payment_attempts") {
				values[len(values)-1] = nil // of positions only their order is the same
			}
			return line(values), err
		})
		if err != nil {
			s.t.Fatalf("read %s: %v", q.table, err)
		}
		if have, want := strings.Join(got, "\n"), strings.Join(linesOf(q.rows(want)), "\n"); have != want {
			s.t.Errorf("%s: %s of Postgres:\n%s\nof memdb:\n%s", when, q.table, have, want)
		}
	}
	var keys int
	if err := s.pool.QueryRow(s.t.Context(), "select count(*) from idempotency_keys").Scan(&keys); err != nil || keys != want.Keys {
		s.t.Errorf("%s: Postgres has %d keys, memdb %d: %v", when, keys, want.Keys, err)
	}
}

func linesOf(rows any) []string {
	var lines []string
	all := reflect.ValueOf(rows)
	for i := range all.Len() {
		row := all.Index(i)
		var values []any
		for f := range row.NumField() {
			if row.Type().Field(f).Name == "Position" {
				values = append(values, nil)
				continue
			}
			values = append(values, row.Field(f).Interface())
		}
		lines = append(lines, line(values))
	}
	return lines
}

// line is a row in words that don't depend on where it comes from.
func line(values []any) string {
	parts := make([]string, len(values))
	for i, value := range values {
		parts[i] = word(value)
	}
	return strings.Join(parts, " | ")
}

func word(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case *string:
		if v == nil {
			return "-"
		}
		return *v
	case *time.Time:
		if v == nil {
			return "-"
		}
		return word(*v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case [16]byte:
		return uuid.UUID(v).String()
	case map[string]any:
		return jsonText(v)
	case []byte:
		return bytesText(v)
	case []any:
		return fmt.Sprintf("%v", v)
	case float64:
		return fmt.Sprintf("%.6f", v)
	default:
		return fmt.Sprint(value)
	}
}

func bytesText(v []byte) string {
	var object map[string]any
	switch {
	case v == nil:
		return "-"
	case json.Unmarshal(v, &object) == nil:
		return jsonText(object)
	}
	return hex.EncodeToString(v)
}

func jsonText(v map[string]any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// spoil changes some of a statement's arguments, so that it may be about something
// else, or break a constraint.
func spoil(random *rand.Rand, made recorded, args []any) []any {
	spoilt := append([]any(nil), args...)
	for range 1 + random.IntN(2) {
		if len(spoilt) == 0 {
			break
		}
		i := random.IntN(len(spoilt))
		spoilt[i] = other(random, made, spoilt[i])
	}
	return spoilt
}

func other(random *rand.Rand, made recorded, value any) any {
	numbers := []int64{0, -1, 1, 3, 100_000}
	number := numbers[random.IntN(len(numbers))]
	switch v := value.(type) {
	case uuid.UUID:
		orders := made.db.Tables().Orders
		if i := random.IntN(len(orders) + 1); i < len(orders) {
			return orders[i].ID
		}
		return uuid.New()
	case int64:
		return number
	case int32:
		return int32(number)
	case string:
		words := []string{"", "nonsense", "cancelled", "captured", "declined", "EUR", v + "X"}
		return words[random.IntN(len(words))]
	case *string:
		words := []*string{nil, new(string)}
		return words[random.IntN(2)]
	case []int32:
		return replaced(random, v, int32(number))
	case []int64:
		return replaced(random, v, number)
	case []string:
		return replaced(random, v, []string{"NOPE", "CUP"}[random.IntN(2)])
	case []byte:
		if random.IntN(2) == 0 {
			return []byte(nil)
		}
		return v
	default:
		return value
	}
}

func replaced[T any](random *rand.Rand, values []T, by T) []T {
	if len(values) == 0 {
		return values
	}
	changed := append([]T(nil), values...)
	changed[random.IntN(len(changed))] = by
	return changed
}
