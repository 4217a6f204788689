// Package postgres opens the database every function shares and brings its
// schema up to date.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Config is how to reach Postgres.
type Config struct {
	// URL is a libpq connection string.
	URL string `env:"DATABASE_URL,required,notEmpty"`
	// MaxConns bounds the connections of one process.
	MaxConns int32 `env:"DATABASE_MAX_CONNS" envDefault:"10"`
	// IAMRegion is the region of an Amazon RDS that lets the process in by who it is
	// to AWS, and not by a password. Empty is off.
	IAMRegion string `env:"DATABASE_IAM_REGION"`
	// RootCerts are the authorities that may have signed the database's certificate,
	// as PEM. Empty are those of the system, among which RDS's own is not.
	RootCerts string `env:"DATABASE_ROOT_CERTS"`
}

// Pool is what functions ask of a pool of connections.
type Pool interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// idleInTransaction ends the session of a function that was paused inside a
// transaction: its locks would hold up the order's other deliveries.
const idleInTransaction = 15 * time.Second

// Open makes a pool of connections. It doesn't connect: a function may start
// before its database does.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	settings, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		// pgx's text may quote the URL, and with it the password.
		return nil, errors.New("parse DATABASE_URL: not a Postgres connection string")
	}
	if cfg.MaxConns > 0 {
		settings.MaxConns = cfg.MaxConns
	}
	settings.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] =
		fmt.Sprint(idleInTransaction.Milliseconds())
	if err := trust(settings.ConnConfig, cfg); err != nil {
		return nil, err
	}
	if cfg.IAMRegion != "" {
		settings.BeforeConnect = signIn(cfg.IAMRegion)
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}

// Connect makes a connection beside the pool and like its own: for one that never
// comes back, as one that listens.
func Connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	settings := pool.Config()
	if settings.BeforeConnect != nil {
		if err := settings.BeforeConnect(ctx, settings.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, settings.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are the SQL files that Migrate applies, in the order of their names.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// lockTimeout bounds how long a migration waits for a table: whoever comes after
// it waits too, so it gives up its place and tries again.
const lockTimeout = 2 * time.Second

// lockNotAvailable is how Postgres says that the time is over.
const lockNotAvailable = "55P03"

// Migrate brings the schema up to date, also while functions use it. Any number
// of processes may do so at the same time: a lock lets one work while the others
// wait.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	config := pool.Config()
	settings := config.ConnConfig
	settings.RuntimeParams["lock_timeout"] = fmt.Sprint(lockTimeout.Milliseconds())
	var options []stdlib.OptionOpenDB
	if config.BeforeConnect != nil {
		options = append(options, stdlib.OptionBeforeConnect(config.BeforeConnect))
	}
	db := stdlib.OpenDB(*settings, options...)
	defer db.Close() //nolint:errcheck // there is nothing to flush
	again := time.NewTicker(lockTimeout)
	defer again.Stop()
	for {
		err := migrate(ctx, db)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != lockNotAvailable {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

func migrate(ctx context.Context, db *sql.DB) error {
	// Ask for the lock every second; goose's own interval of 5 s would be most of a start.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// IsUnique tells whether err is the violation of a unique constraint, and of which.
func IsUnique(err error) (constraint string, ok bool) {
	var violation *pgconn.PgError
	if errors.As(err, &violation) && violation.Code == "23505" {
		return violation.ConstraintName, true
	}
	return "", false
}
