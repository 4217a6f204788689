// Command orderflow runs the whole system on one machine (orderflow run), and is
// each part of its platform, in a process of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type commands struct {
	Run     runCommand     `cmd:"" help:"Run the whole system until Ctrl-C."`
	Env     envCommand     `cmd:"" help:"Print how to reach the running system, for a shell."`
	Ports   portsCommand   `cmd:"" help:"Print the port of each process that listens, as JSON."`
	Reset   resetCommand   `cmd:"" help:"Remove all data: orders, mails, secrets, logs."`
	Migrate migrateCommand `cmd:"" help:"Bring the schema of a database up to date and fill the demo catalogue."`

	FuncRun    funcRunCommand    `cmd:"" help:"Run one function by the func CLI, with what it needs, until Ctrl-C."`
	FuncInvoke funcInvokeCommand `cmd:"" help:"Call the function that func-run runs, with an event of events/examples."`

	DeadLetters deadLettersCommand `cmd:"" group:"operators" help:"Look at dead letters, and redrive or discard them."`
	Stock       stockCommand       `cmd:"" group:"operators" help:"Look at the stock, receive goods, adjust it."`
	Cancel      cancelCommand      `cmd:"" group:"operators" help:"Cancel an order that hasn't shipped."`
	TakeBack    takeBackCommand    `cmd:"" group:"operators" help:"Take back what was shipped of an order, and give money back for it, or for nothing."`
	Order       orderCommand       `cmd:"" group:"operators" help:"Tell an order's whole life, or how it stood at a time."`

	WithPostgres withPostgresCommand `cmd:"" help:"Run a command, tests for one, with a Postgres that goes when it ends."`

	Broker          brokerCommand      `cmd:"" group:"parts" help:"An embedded Kafka broker."`
	KafkaSink       kafkaSinkCommand   `cmd:"" group:"parts" help:"The ingress of the KafkaSinks."`
	KafkaSource     kafkaSourceCommand `cmd:"" group:"parts" help:"The dispatcher of the KafkaSources."`
	PingSource      pingSourceCommand  `cmd:"" group:"parts" help:"The clock of the PingSources."`
	PaymentProvider paymentCommand     `cmd:"" group:"parts" help:"The sandbox payment provider."`
	Mailbox         mailboxCommand     `cmd:"" group:"parts" help:"A SendGrid that keeps the mail, with pages to read it."`
	S3              s3Command          `cmd:"" name:"s3" group:"parts" help:"An S3-compatible server."`
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go cancelOnSignal(cancel, endings())

	var command commands
	parsed := kong.Parse(&command, kong.Name("orderflow"), kong.UsageOnError(),
		kong.Groups{
			"operators": "For who runs a shop, here or on a cluster: DATABASE_URL says which.",
			"parts":     "Parts of the platform, as orderflow run starts them:",
		},
		kong.Description("An order system of functions, events and Postgres, on one machine."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parsed.Run(); err != nil {
		if exit, is := errors.AsType[exitError](err); is {
			os.Exit(int(exit))
		}
		fmt.Fprintln(os.Stderr, "orderflow: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// impatience is how long after the first signal a second one counts: a shell
// and a tool like timeout may both pass on the same one.
const impatience = time.Second

// endings gets what ends the process, from now on and before anything is
// started that would have to be ended too.
func endings() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup means to outlive the terminal
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals
}

// cancelOnSignal cancels at the first Ctrl-C or SIGTERM, and ends the process
// when somebody insists. What it has started dies with it.
func cancelOnSignal(cancel context.CancelFunc, signals <-chan os.Signal) {
	<-signals
	cancel()
	for first := time.Now(); ; {
		<-signals
		if time.Since(first) > impatience {
			os.Exit(1)
		}
	}
}
