// Chaos runs the whole system in a folder and at ports of its own, and has a storm
// go over its processes while customers order and cancel, and operators cancel and
// take back: processes are killed,
// deliveries come twice, late and out of order, topics again from their beginning,
// the broker loses the end of its log, providers fail before and after the effect,
// connections are cut or fall silent, the disk is full, clocks jump, and functions
// are upgraded and rolled back. Then the audit looks from the outside.
//
// It talks to the system from the outside only: processes by their pids, HTTP, the
// Kafka protocol, files of the broker that is held, and the programs orderflow,
// simulate and audit.
//
// It exits with 0 if nothing went wrong, with 1 at the first violation, and with 2
// if it could not run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// What the program ends with.
const (
	exitClean = iota
	exitViolated
	exitUnable
)

// options are what can be said on the command line.
type options struct {
	Orders int     `default:"300" help:"How many orders are placed."`
	Rate   float64 `default:"10" help:"Orders per second."`
	Seed   uint64  `default:"1" help:"The same seed makes the same customers and the same plan of faults. When exactly a fault meets which request is the machine's, and differs."`
	Kills  int     `default:"0" help:"How many processes are killed; 0 is three for each hundred orders, and at least two of each process."`

	Without    []string `help:"Kinds of faults to leave out: ${kinds}. The report names them." placeholder:"KIND,..."`
	KafkaAlone bool     `help:"Kill functions and the dispatcher only, the one while it waits for the other too, and have order-recovery send nothing again that Kafka has: what KafkaSource promises must do by itself."`
	Mutant     string   `help:"Break the system on purpose before: ${mutants}. Then a violation is what should be found." placeholder:"NAME"`
	Other      string   `help:"Folder with a program function of another release, to upgrade to and roll back from; else another build of the same." type:"existingdir" placeholder:"FOLDER"`

	AuditEvery time.Duration `default:"20s" help:"How often to audit while the storm goes on."`
	Settle     time.Duration `default:"10m" help:"How long the last order may take to its end after the storm; it is over as soon as all are."`
	Rehearse   bool          `help:"Before the storm, take one part after the other away, and compare how long orders take to recover with what is predicted."`
	Report     string        `help:"Write the report to a file too, as Markdown." placeholder:"FILE"`

	Root       string `default:"." type:"existingdir" help:"The project's folder."`
	Bin        string `default:"bin" type:"existingdir" help:"Folder of the programs orderflow and function."`
	Tools      string `default:"bin/chaos" type:"existingdir" help:"Folder of the programs simulate and audit."`
	Dir        string `help:"Folder for the storm's data, which is made; one in /var/tmp if not given. It stays after a violation." placeholder:"FOLDER"`
	PortOffset int    `default:"23000" help:"Added to every port."`
}

func main() {
	// The kernel ends the system with the thread that has started it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errViolated says that the storm found what must not be.
var errViolated = errors.New("the system did what it must not")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := storm(ctx, args, stdout, stderr)
	exit, inChild := errors.AsType[exitError](err)
	switch {
	case err == nil:
		return exitClean
	case inChild:
		return int(exit)
	case errors.Is(err, errViolated):
		return exitViolated
	default:
		fmt.Fprintln(stderr, "chaos:", err)
		return exitUnable
	}
}

func storm(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	parser, err := kong.New(&o, kong.Name("chaos"), kong.Description("A storm over the whole system, and the audit after it."),
		kong.Writers(stdout, stderr), kong.Vars{"kinds": strings.Join(kinds(), ", "), "mutants": strings.Join(mutantNames(), ", ")})
	if err != nil {
		return fmt.Errorf("declare options: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	if err := o.complete(); err != nil {
		return err
	}
	if o.has(kindDisk) && !ownMounts() {
		return inOwnMounts(ctx, args)
	}
	s, err := prepare(ctx, o, stdout)
	if err != nil {
		return err
	}
	defer s.close()
	return s.run(ctx)
}
