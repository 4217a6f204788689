// Audit proves that no order, charge, unit or mail went wrong: it runs every
// invariant against the database, and compares what the outside world has (the
// payment provider's records and ledger, the mailbox, the labels in S3) with
// our books.
//
// It can repair what it finds, as far as that follows from the journals, the orders'
// histories and the provider: it shows first what it would do.
//
// It exits with 1 if anything is wrong, and with 2 if it could not look.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/config"
	"github.com/orderflow-project/orderflow/shared/invariants"
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
	Repair string        `help:"Repair what can be derived: show the plan and ask (${enum})." enum:",ask,yes" default:""`
	By     string        `help:"Who repairs, for the record." env:"ORDERFLOW_OPERATOR,USER"`
	Reason string        `help:"Why, for the record. No personal data: it is kept for good." default:"the audit found it wrong"`
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
	code := run(ctx, os.Args[1:], config.Environment(), terminal{out: os.Stdout, err: os.Stderr, ask: asking(os.Stdin)})
	stop()
	os.Exit(code)
}

// terminal is where the program speaks.
type terminal struct {
	out, err io.Writer
	// ask waits for somebody to say yes; nil where nobody could.
	ask func() bool
}

// asking is how the one at a terminal says yes; nil where in is none.
func asking(in *os.File) func() bool {
	if info, err := in.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func() bool {
		answer, _ := bufio.NewReader(in).ReadString('\n')
		return strings.TrimSpace(answer) == "yes"
	}
}

// run is the program, which ends with the code that it returns.
func run(ctx context.Context, args []string, environment map[string]string, t terminal) int {
	violations, err := runAudit(ctx, args, environment, t)
	switch {
	case err != nil:
		fmt.Fprintln(t.err, "audit:", err)
		return exitUnknown
	case violations > 0:
		return exitWrong
	default:
		return exitClean
	}
}

func runAudit(ctx context.Context, args []string, environment map[string]string, t terminal) (violations int, err error) {
	o, err := parse(args, t)
	if err != nil {
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
	seen, err := audit(ctx, db, set, o.Moving, t.out)
	if err != nil || o.Repair == "" || seen.violations == 0 {
		return seen.violations, err
	}
	how := repairing{mode: o.Repair, sign: signature{by: o.By, reason: o.Reason}, ask: t.ask}
	return thenRepair(ctx, db, set, seen, how, t.out)
}

func parse(args []string, t terminal) (o options, err error) {
	parser, err := kong.New(&o, kong.Name("audit"), kong.Description("Prove that no order, charge, unit or mail went wrong."), kong.Writers(t.out, t.err))
	if err != nil {
		return o, fmt.Errorf("declare options: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return o, err
	}
	if o.Repair != "" && (o.Moving || o.By == "" || o.Reason == "") {
		return o, errors.New("a repair needs a system at rest, and somebody by name (--by) with a reason (--reason)")
	}
	return o, nil
}

// thenRepair repairs what may be, and looks again.
func thenRepair(ctx context.Context, db *pgx.Conn, set settings, seen found, how repairing, out io.Writer) (violations int, err error) {
	repaired, err := repair(ctx, db, set, seen, how, out)
	if err != nil || !repaired {
		return seen.violations, err
	}
	fmt.Fprintln(out, "\nThe audit anew:")
	seen, err = audit(ctx, db, set, false, out)
	return seen.violations, err
}

// found is what an audit has seen.
type found struct {
	violations int
	view       view
	world      world
}

// audit looks at the database, then outside, then at the database again (see
// view). No transaction is open while it looks outside, which takes as long as
// there are orders: it would keep migrations and vacuum from their work.
func audit(ctx context.Context, db *pgx.Conn, set settings, moving bool, out io.Writer) (found, error) {
	rep, v := report{out: out}, view{moving: moving}
	began, err := invariants.Now(ctx, db)
	if err != nil {
		return found{}, err
	}
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if err := rep.invariants(ctx, tx, moving); err != nil {
			return err
		}
		if err := rep.count(ctx, tx); err != nil {
			return err
		}
		var err error
		v.before, err = readBooks(ctx, tx)
		return err
	})
	if err != nil {
		return found{}, err
	}
	w, err := readWorld(ctx, set, v.before)
	if err != nil {
		return found{}, err
	}
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		v.after, err = readBooks(ctx, tx)
		return err
	})
	if err != nil {
		return found{}, err
	}
	rep.compare(v, w)
	rep.close()
	run := invariants.Run{BeganAt: began, Moving: moving, Orders: rep.orders, Results: rep.results}
	if err := invariants.Record(ctx, db, run); err != nil {
		return found{}, err
	}
	return found{violations: rep.violations, view: v, world: w}, nil
}

// inSnapshot has all that look reads be of one moment.
func inSnapshot(ctx context.Context, db *pgx.Conn, look func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, look)
}
