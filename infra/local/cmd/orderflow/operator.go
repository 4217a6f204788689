package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/secrets"
	"github.com/orderflow-project/orderflow/shared/sink"
)

// operator is what commands have in common that people run beside a system,
// wherever that runs: its database by DATABASE_URL and what goes with it, as
// functions get it.
type operator struct {
	JSON bool `help:"Print JSON, one object per line." name:"json"`
}

// addresses tell which function a URL is of, for make run, whose URLs don't tell a
// function's name.
type addresses struct {
	Services map[string]string `help:"The functions' URLs by name, where a URL doesn't tell its function." env:"FUNCTION_URLS" placeholder:"NAME=URL;..."`
}

type databaseSettings struct {
	Postgres postgres.Config
}

// database opens the database.
func database(ctx context.Context) (*pgxpool.Pool, error) {
	environment, err := secrets.Resolve(ctx, config.Environment())
	if err != nil {
		return nil, err
	}
	settings, err := config.Parse[databaseSettings](environment)
	if err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, settings.Postgres)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, errors.New("connect to Postgres: is DATABASE_URL the right one, and the database up?")
	}
	return pool, nil
}

// undefinedTable is how Postgres says that a table isn't there.
const undefinedTable = "42P01"

// explained says what to do about an error that comes of an older schema.
func explained(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		return fmt.Errorf("%w: the database's schema is older than this program: migrate it first", err)
	}
	return err
}

// sinks is the way to the KafkaSinks.
type sinks struct {
	Ingress   string `help:"URL of the KafkaSinks' ingress; on a cluster, of a port-forward to it." env:"KAFKA_SINK_INGRESS" placeholder:"http://localhost:8090"`
	Namespace string `help:"Namespace of the KafkaSinks." default:"orderflow"`
	CACerts   string `help:"File with the authorities of an https ingress, as PEM, if not those of the system." name:"ca-certs" type:"existingfile"`
}

func (s sinks) open() (*sink.Client, error) {
	if s.Ingress == "" {
		return nil, errors.New("KAFKA_SINK_INGRESS is not set, nor --ingress given: where are the KafkaSinks?")
	}
	cfg := sink.Config{URL: strings.TrimRight(s.Ingress, "/") + "/" + s.Namespace + "/any"} // each event goes to a sibling of it
	if s.CACerts != "" {
		pem, err := os.ReadFile(s.CACerts)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		cfg.CACerts = string(pem)
	}
	return sink.NewClient(cfg)
}

// moment is a time on the command line: 2026-01-31T08:00:00Z, 2026-01-31, or so
// long ago, as 90m.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			m.Time = at
			return nil
		}
	}
	return fmt.Errorf("%q is no time: give 2026-01-31T08:00:00Z, 2026-01-31, or how long ago, as 90m", text)
}

// printJSON prints one line.
func printJSON(out io.Writer, value any) error {
	if err := json.NewEncoder(out).Encode(value); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// shownTime is a time as people read it, in UTC like everything that is logged.
func shownTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }
