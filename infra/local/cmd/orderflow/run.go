package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/console"
)

// place says which system is meant.
type place struct {
	Root  string `help:"The project's folder." default:"." type:"existingdir"`
	State string `help:"Folder for everything that lasts." placeholder:".orderflow"`
}

type runCommand struct {
	place
	PortOffset   int               `help:"Added to every port." default:"0"`
	PostgresBin  string            `help:"Folder with the binaries of PostgreSQL; looked for if not given." env:"POSTGRES_BIN"`
	DatabaseURL  string            `help:"A database of your own." name:"database-url" env:"DATABASE_URL"`
	KafkaBrokers []string          `help:"A Kafka of your own." env:"KAFKA_BROKERS"`
	S3Endpoint   string            `name:"s3-endpoint" help:"An S3 of your own; its credentials come by the usual AWS_ variables." env:"AWS_ENDPOINT_URL_S3"`
	Set          map[string]string `help:"Give a setting of the ConfigMap another value." placeholder:"RATE_LIMIT=60"`
	Through      string            `help:"File of ports at which processes call others instead of their own, as JSON: {\"inventory-update\": {\"postgres\": 10500}}." placeholder:"FILE"`
	Quiet        bool              `help:"Show only what goes wrong, and the addresses."`
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context) error {
	began := time.Now()
	screen := console.New(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())))
	options, err := c.options(screen)
	if err != nil {
		return err
	}
	options.Hidden = hideDatabaseSettings()
	system, err := local.Start(ctx, options)
	if err != nil && ctx.Err() != nil {
		screen.Print("stopped before it was ready\n")
		return nil //nolint:nilerr // Ctrl-C is no failure
	}
	if err != nil {
		screen.Print("")
		return err
	}
	screen.Print(welcome(system, time.Since(began)))
	var lost error
	select {
	case <-ctx.Done():
	case <-system.Lost():
		lost = fmt.Errorf("the data folder %s was removed or replaced while the system ran: the system was stopped, and what it took since is lost; start it again, and empty the folder with make reset only",
			system.StateDir())
	}
	screen.Print("\nstopping ...\n")
	began = time.Now()
	system.Stop() //nolint:contextcheck // ctx has ended: stopping has a time of its own
	if lost != nil {
		return lost
	}
	screen.Print(fmt.Sprintf("stopped in %.1f s; everything is kept for the next start\n", time.Since(began).Seconds()))
	return nil
}

func (c *runCommand) options(screen *console.Console) (local.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return local.Options{}, fmt.Errorf("find own program: %w", err)
	}
	options := local.Options{
		Root: c.Root, Bin: filepath.Dir(program), State: c.State, PortOffset: c.PortOffset,
		PostgresBin: c.PostgresBin, DatabaseURL: c.DatabaseURL, KafkaBrokers: c.KafkaBrokers,
		Settings: c.Set, Say: screen.Say,
	}
	if !c.Quiet {
		options.Line, options.Step = screen.Line, screen.Step
	}
	if options.Through, err = readThrough(c.Through); err != nil {
		return options, err
	}
	if c.S3Endpoint == "" {
		return options, nil
	}
	options.S3 = &local.S3Account{
		Endpoint: c.S3Endpoint, Region: os.Getenv("AWS_REGION"),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}
	if options.S3.Region == "" || options.S3.AccessKey == "" || options.S3.SecretKey == "" {
		return options, errors.New("AWS_ENDPOINT_URL_S3 is set, but not all of AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set them, or unset it to get an embedded S3")
	}
	return options, nil
}

// readThrough reads who calls whom at which port; "" is no file.
func readThrough(path string) (through map[string]map[string]int, err error) {
	if path == "" {
		return nil, nil //nolint:nilnil // nobody is called at another port
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &through)
	}
	if err != nil {
		return nil, fmt.Errorf("read --through: %w", err)
	}
	return through, nil
}

// hideDatabaseSettings removes what a Postgres client would add to DATABASE_URL
// from our own environment, and names it: functions don't get it, and so must
// neither the check of the database nor its migration. HOME leads to .pgpass.
func hideDatabaseSettings() []string {
	var hidden []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PG") && value != "" {
			hidden = append(hidden, name)
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		if _, err := os.Stat(filepath.Join(home, ".pgpass")); err == nil {
			hidden = append(hidden, ".pgpass")
		}
	}
	for _, name := range append(hidden, "HOME") {
		_ = os.Unsetenv(name) // .pgpass is none, which does no harm
	}
	return hidden
}

// welcome tells where everything is.
func welcome(system *local.System, took time.Duration) string {
	at := system.Addresses()
	return fmt.Sprintf("\nOrderflow is ready after %.1f s.\n\n", took.Seconds()) + console.Table([][3]string{
		{"storefront", at.Shown("storefront"), "buy something here"},
		{"back office", at.Shown("backoffice"), "any name, password: " + system.Secrets()["BACKOFFICE_PASSWORD"]},
		{"mailbox", at.Shown("mailbox"), "the mail that customers get"},
		{"KafkaSink ingress", at.Shown("kafka-sink") + "/orderflow/<sink>", "POST a CloudEvent"},
		{"Kafka", strings.ReplaceAll(system.Brokers(), "127.0.0.1", "localhost"), ""},
		{"Postgres", system.ShownDatabase(), ""},
		{"S3", system.Settings()["AWS_ENDPOINT_URL_S3"], "bucket " + system.Settings()["LABEL_BUCKET"]},
		{"payment provider", at.Shown("payment-provider"), "a sandbox: no money moves"},
		{"data and logs", system.StateDir(), "make reset empties it"},
	}) + "\nCtrl-C stops it.\n\n"
}

type envCommand struct{ place }

// Run implements the command.
func (c *envCommand) Run() error {
	text, err := local.Environment(local.Options{Root: c.Root, State: c.State})
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

type portsCommand struct {
	place
	PortOffset int `help:"Added to every port." default:"0"`
}

// Run implements the command.
func (c *portsCommand) Run() error {
	ports, err := local.ProcessPorts(local.Options{Root: c.Root, State: c.State, PortOffset: c.PortOffset})
	if err != nil {
		return err
	}
	return printJSON(os.Stdout, ports)
}

type resetCommand struct{ place }

// Run implements the command.
func (c *resetCommand) Run() error {
	return local.Reset(local.Options{Root: c.Root, State: c.State})
}

type migrateCommand struct {
	DatabaseURL string `help:"The database." name:"database-url" env:"DATABASE_URL" required:""`
}

// Run implements the command.
func (c *migrateCommand) Run(ctx context.Context) error {
	return local.Migrate(ctx, c.DatabaseURL)
}
