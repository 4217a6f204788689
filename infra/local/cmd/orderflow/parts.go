package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/broker"
	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/pingsource"
	"github.com/orderflow-project/orderflow/infra/local/s3"
	"github.com/orderflow-project/orderflow/shared/mailbox"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

// logger is how the parts of the platform write: like the functions.
func logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

type manifests struct {
	Manifests string `help:"Folder of the kustomization." default:"infra/knative/base" type:"existingdir"`
}

func (m manifests) load() (*manifest.Set, error) { return manifest.Load(m.Manifests) }

type services struct {
	Services map[string]string `help:"The functions' URLs by name." placeholder:"NAME=URL;..."`
}

type kafka struct {
	Brokers []string          `help:"Bootstrap servers of Kafka." default:"127.0.0.1:9092"`
	Detour  map[string]string `help:"Connect to another address than the one that Kafka names." placeholder:"HOST:PORT=HOST:PORT;..."`
}

type brokerCommand struct {
	manifests
	Port int    `help:"Port on 127.0.0.1." default:"9092"`
	Dir  string `help:"Folder of the log." required:""`
}

// Run implements the command.
func (c *brokerCommand) Run(ctx context.Context) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	topics, err := local.Topics(set)
	if err != nil {
		return err
	}
	opened, err := broker.Open(ctx, broker.Config{DataDir: c.Dir, Port: c.Port, Topics: topics, Logger: logger()})
	if err != nil {
		return err
	}
	return opened.Run(ctx)
}

type kafkaSinkCommand struct {
	manifests
	kafka
	Listen string `help:"Address to listen on." default:"127.0.0.1:8090"`
}

// Run implements the command.
func (c *kafkaSinkCommand) Run(ctx context.Context) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	server, err := kafkasink.New(kafkasink.Config{
		Listen: c.Listen, Brokers: c.Brokers, Dial: local.Detours(c.Detour), Sinks: local.Sinks(set), Logger: logger(),
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

type kafkaSourceCommand struct {
	manifests
	services
	kafka
	Ingress  string `help:"URL of the KafkaSinks' ingress, for dead letters." default:"http://127.0.0.1:8090"`
	Instance string `help:"Name of the dispatcher: one that starts under the name of one that was killed has its partitions at once."`
}

// Run implements the command.
func (c *kafkaSourceCommand) Run(ctx context.Context) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	sources, err := local.Sources(set, local.Network{Brokers: c.Brokers, Ingress: c.Ingress, Services: c.Services})
	if err != nil {
		return err
	}
	return kafkasource.Run(ctx, kafkasource.Config{
		Sources: sources, Dial: local.Detours(c.Detour), Instance: c.Instance, Logger: logger(),
	})
}

type pingSourceCommand struct {
	manifests
	services
}

// Run implements the command.
func (c *pingSourceCommand) Run(ctx context.Context) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	sources, err := local.Pings(set, local.Network{Services: c.Services})
	if err != nil {
		return err
	}
	return pingsource.Run(ctx, pingsource.Config{Sources: sources, Logger: logger()})
}

type paymentCommand struct {
	Listen string `help:"Address to listen on." default:"127.0.0.1:8070"`
	Dir    string `help:"Folder of the ledger." required:""`
	Key    string `help:"Key that callers must present." env:"PAYMENT_PROVIDER_KEY" required:""`
}

// Run implements the command.
func (c *paymentCommand) Run(ctx context.Context) error {
	provider, err := sandbox.New(sandbox.Options{Dir: c.Dir, Key: c.Key, Logger: logger(), Faults: true})
	if err != nil {
		return err
	}
	return errors.Join(local.Serve(ctx, c.Listen, provider), provider.Close())
}

type s3Command struct {
	Listen    string   `help:"Address to listen on." default:"127.0.0.1:9000"`
	Dir       string   `help:"Folder of the objects." required:""`
	Bucket    []string `help:"Buckets to have."`
	Region    string   `help:"Region to be in." default:"eu-central-1"`
	AccessKey string   `help:"Access key." env:"AWS_ACCESS_KEY_ID" required:""`
	SecretKey string   `help:"Secret key." env:"AWS_SECRET_ACCESS_KEY" required:""`
}

// Run implements the command.
func (c *s3Command) Run(ctx context.Context) error {
	return s3.Run(ctx, s3.Config{
		Address: c.Listen, Dir: c.Dir, Buckets: c.Bucket, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey,
	})
}

type mailboxCommand struct {
	Listen string `help:"Address to listen on." default:"127.0.0.1:8025"`
	Dir    string `help:"Folder of the mail." required:""`
	Key    string `help:"Key that callers must present." env:"SENDGRID_API_KEY" required:""`

	Webhook    string `help:"Whom to tell what becomes of mail; nobody if not given."`
	WebhookKey string `help:"Key to sign that by." env:"SENDGRID_WEBHOOK_PRIVATE_KEY"`
}

// Run implements the command.
func (c *mailboxCommand) Run(ctx context.Context) error {
	options := mailbox.Options{Dir: c.Dir, Key: c.Key, Logger: logger(), Faults: true}
	if c.Webhook != "" {
		key, err := mailbox.ParseWebhookKey(c.WebhookKey)
		if err != nil {
			return err
		}
		options.Webhook = mailbox.Webhook{URL: c.Webhook, Key: key}
	}
	box, err := mailbox.New(options) //nolint:contextcheck // it tells the webhook until it is closed
	if err != nil {
		return err
	}
	return errors.Join(local.Serve(ctx, c.Listen, box), box.Close())
}
