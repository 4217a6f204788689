package stagetest

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Snapshot describes every row of every table, by table, so that a test can
// tell whether anything at all has changed. Left out is only the note of when
// an event was published, which is written beside the deliveries.
func Snapshot(tb testing.TB, pool *pgxpool.Pool) map[string]string {
	tb.Helper()
	rows, err := pool.Query(tb.Context(),
		`select tablename::text from pg_tables where schemaname = 'public' and tablename not like 'goose%'`)
	if err != nil {
		tb.Fatalf("list tables: %v", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatalf("list tables: %v", err)
	}
	all := map[string]string{}
	for _, table := range tables {
		statement := fmt.Sprintf(
			`select coalesce(string_agg(r::text, E'\n' order by r::text), '') from (select to_jsonb(t) - 'published_at' as r from %s t) x`,
			pgx.Identifier{table}.Sanitize())
		var content string
		if err := pool.QueryRow(tb.Context(), statement).Scan(&content); err != nil {
			tb.Fatalf("read %s: %v", table, err)
		}
		all[table] = content
	}
	return all
}
