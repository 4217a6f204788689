// Command migrate brings the schema of a database up to date. It is what the
// migration Job of a cluster runs (infra/knative/migrate): nothing but the
// migrations, where orderflow migrate would bring a whole platform along.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
	"github.com/orderflow-project/orderflow/shared/secrets"
)

type command struct {
	DatabaseURL string `help:"The database." name:"database-url" env:"DATABASE_URL" required:""`
	IAMRegion   string `help:"The region of an Amazon RDS that lets in by IAM." name:"iam-region" env:"DATABASE_IAM_REGION"`
	RootCerts   string `help:"The authorities of the database's certificate, as PEM." name:"root-certs" env:"DATABASE_ROOT_CERTS"`
	Demo        bool   `help:"Put the demo shop's articles in as well; those that are there stay as they are."`
}

func main() {
	// A Job that is deleted is asked to stop: what was begun is rolled back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var c command
	kong.Parse(&c, kong.Name("migrate"), kong.UsageOnError(),
		kong.Description("Bring the schema of a database up to date."))
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("migrate: the schema is up to date")
}

func (c *command) run(ctx context.Context) error {
	environment, err := secrets.Resolve(ctx, map[string]string{"DATABASE_URL": c.DatabaseURL})
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: environment["DATABASE_URL"], IAMRegion: c.IAMRegion, RootCerts: c.RootCerts})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.Migrate(ctx, pool); err != nil {
		return err
	}
	if !c.Demo {
		return nil
	}
	return demo.Seed(ctx, pool)
}
