// Audit proves that no order, charge, unit or mail went wrong: it runs every
// invariant against the database, and compares what the outside world has (the
// payment provider's records and ledger, the mailbox, the labels in S3) with
// our books.
//
// It exits with 1 if anything is wrong, and with 2 if it could not look.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/config"
)

// What the program ends with.
const (
	exitClean = iota
	exitWrong
	exitUnknown
)

// options are what can be said on the command line.
type options struct {
	Settle time.Duration `default:"90s" help:"How long to wait for orders on their way to come to rest."`
	Moving bool          `help:"Audit while orders are on their way: only what must hold at every moment."`
}

// settings come from the environment; 'orderflow env' prints them for the system on this machine.
type settings struct {
	DatabaseURL string `env:"DATABASE_URL,required,notEmpty"`
	Provider    string `env:"PAYMENT_PROVIDER_URL,required,notEmpty"`
	ProviderKey string `env:"PAYMENT_PROVIDER_KEY,required,notEmpty"`
	Mailbox     string `env:"SENDGRID_HOST,required,notEmpty"`
	Labels      bucket
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], config.Environment(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, which ends with the code that it returns.
func run(ctx context.Context, args []string, environment map[string]string, stdout, stderr io.Writer) int {
	violations, err := runAudit(ctx, args, environment, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "audit:", err)
		return exitUnknown
	case violations > 0:
		return exitWrong
	default:
		return exitClean
	}
}

func runAudit(ctx context.Context, args []string, environment map[string]string, stdout, stderr io.Writer) (violations int, err error) {
	var o options
	parser, err := kong.New(&o, kong.Name("audit"), kong.Description("Prove that no order, charge, unit or mail went wrong."), kong.Writers(stdout, stderr))
	if err != nil {
		return 0, fmt.Errorf("declare options: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return 0, err
	}
	set, err := config.Parse[settings](environment)
	if err != nil {
		return 0, err
	}
	db, err := pgx.Connect(ctx, set.DatabaseURL)
	if err != nil {
		return 0, errors.New("connect to Postgres: is the system running? (make run)")
	}
	defer db.Close(ctx) //nolint:errcheck // nothing depends on it
	if !o.Moving {
		if err := settle(ctx, db, o.Settle); err != nil {
			return 0, err
		}
	}
	return audit(ctx, db, set, o.Moving, stdout)
}

// audit looks at the database, then outside, then at the database again (see
// view). No transaction is open while it looks outside, which takes as long as
// there are orders: it would keep migrations and vacuum from their work.
func audit(ctx context.Context, db *pgx.Conn, set settings, moving bool, out io.Writer) (violations int, err error) {
	rep, v := report{out: out}, view{moving: moving}
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if err := rep.invariants(ctx, tx, moving); err != nil {
			return err
		}
		if err := rep.count(ctx, tx); err != nil {
			return err
		}
		v.before, err = readBooks(ctx, tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	w, err := readWorld(ctx, set, v.before)
	if err != nil {
		return 0, err
	}
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		v.after, err = readBooks(ctx, tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	rep.compare(v, w)
	rep.close()
	return rep.violations, nil
}

// inSnapshot has all that look reads be of one moment.
func inSnapshot(ctx context.Context, db *pgx.Conn, look func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, look)
}
