// Package pipelinetest runs all functions for a test, called over the Kafka
// protocol as the manifests say, each over HTTP and behind a gate at which the
// test can disturb it. The provider, the mailbox and S3 are the test's own. It is
// the system without its processes, so a test can have one of its own in a second,
// and stop it at any step. It is for tests only.
package pipelinetest

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	backoffice "github.com/orderflow-project/orderflow/functions/backoffice"
	notification "github.com/orderflow-project/orderflow/functions/customer-notification"
	intake "github.com/orderflow-project/orderflow/functions/dead-letter-intake"
	inventory "github.com/orderflow-project/orderflow/functions/inventory-update"
	analytics "github.com/orderflow-project/orderflow/functions/order-analytics"
	cancellation "github.com/orderflow-project/orderflow/functions/order-cancellation"
	recovery "github.com/orderflow-project/orderflow/functions/order-recovery"
	verification "github.com/orderflow-project/orderflow/functions/payment-verification"
	shipment "github.com/orderflow-project/orderflow/functions/shipment-preparation"
	storefront "github.com/orderflow-project/orderflow/functions/storefront"
	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/broker"
	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/shared/freeport"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
)

const waitForReady = time.Minute

// Nowhere refuses connections.
const Nowhere = "http://127.0.0.1:1"

// KafkaSink is the gate before the KafkaSinks' ingress; those before functions
// have the functions' names.
const KafkaSink = "kafka-sink"

// Options say what runs.
type Options struct {
	// Root is the project's folder.
	Root string
	// Without names functions that don't run.
	Without []string
	// Environment is what the functions are told beside where the database and
	// Kafka are: with nothing in it, all that is outside of the shop is away.
	Environment map[string]string
}

// Pipeline is a system that runs.
type Pipeline struct {
	Pool *pgxpool.Pool
	// Sink sends events as functions do, past the gate.
	Sink *sink.Client
	// Brokers is where Kafka is, and Ingress the KafkaSinks' own address.
	Brokers, Ingress string

	gates    map[string]*Gate
	services map[string]*service
}

// Start starts a system, which ends with the test.
func Start(t *testing.T, o Options) *Pipeline {
	t.Helper()
	p := &Pipeline{Pool: postgrestest.New(t), gates: map[string]*Gate{}, services: map[string]*service{}}
	set, err := manifest.Load(o.Root + "/" + local.ManifestDir)
	if err != nil {
		t.Fatal(err)
	}
	p.startKafka(t, set)
	p.gates[KafkaSink] = NewGate(t, Before(t, p.Ingress))
	if p.Sink, err = sink.NewClient(sink.Config{URL: p.Ingress + boundSink}); err != nil {
		t.Fatal(err)
	}
	p.startFunctions(t, o)
	p.startSources(t, set)
	return p
}

const boundSink = "/orderflow/order-placed"

// startKafka starts the broker and the ingress.
func (p *Pipeline) startKafka(t *testing.T, set *manifest.Set) {
	t.Helper()
	topics, err := local.Topics(set)
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := broker.Open(t.Context(), broker.Config{DataDir: t.TempDir(), Topics: topics, NoSync: true, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	background(t, kafka.Run)
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	ingress, err := kafkasink.New(kafkasink.Config{Listen: address, Brokers: []string{kafka.Addr()}, Sinks: local.Sinks(set), Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	background(t, ingress.Run)
	p.Brokers, p.Ingress = kafka.Addr(), "http://"+address
	localtest.Eventually(t, "the ingress is up", waitForReady, func() bool {
		response, err := http.Get(p.Ingress)
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
}

var silent = slog.New(slog.DiscardHandler)

// background runs a part until the test ends: what was started last ends first.
func background(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// functions are all there are.
func functions() map[string]func() Function {
	return map[string]func() Function{
		"backoffice":            func() Function { return backoffice.New() },
		"customer-notification": func() Function { return notification.New() },
		"dead-letter-intake":    func() Function { return intake.New() },
		"inventory-update":      func() Function { return inventory.New() },
		"order-analytics":       func() Function { return analytics.New() },
		"order-cancellation":    func() Function { return cancellation.New() },
		"order-recovery":        func() Function { return recovery.New() },
		"payment-verification":  func() Function { return verification.New() },
		"shipment-preparation":  func() Function { return shipment.New() },
		"storefront":            func() Function { return storefront.New() },
	}
}

func (p *Pipeline) startFunctions(t *testing.T, o Options) {
	t.Helper()
	environment := map[string]string{
		"DATABASE_URL": p.Pool.Config().ConnString(), "DATABASE_MAX_CONNS": "8", "K_SINK": p.gates[KafkaSink].URL + boundSink,
		"LOG_FORMAT": "json", "SHOP_URL": "http://shop.example", "ORDER_TOKEN_KEY": strings.Repeat("k", 32),
		"PAYMENT_PROVIDER_URL": Nowhere, "PAYMENT_PROVIDER_KEY": "key",
		"SENDGRID_HOST": Nowhere, "SENDGRID_API_KEY": "key", "MAIL_FROM": "orders@shop.example",
		"AWS_REGION": "eu-central-1", "LABEL_BUCKET": "labels", "AWS_ENDPOINT_URL_S3": Nowhere, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
		"BACKOFFICE_TOKEN": strings.Repeat("t", 32),
	}
	maps.Copy(environment, o.Environment)
	all := functions()
	for _, name := range o.Without {
		if all[name] == nil {
			t.Fatalf("there is no function %s", name)
		}
		delete(all, name)
	}
	for name, create := range all {
		s := &service{make: create, environment: environment}
		s.start(t)
		p.services[name], p.gates[name] = s, NewGate(t, s)
	}
}

// startSources has KafkaSources call the functions, through their gates.
func (p *Pipeline) startSources(t *testing.T, set *manifest.Set) {
	t.Helper()
	network := local.Network{Brokers: []string{p.Brokers}, Ingress: p.Ingress, Services: map[string]string{}}
	for name := range functions() {
		network.Services[name] = Nowhere
		if gate, runs := p.gates[name]; runs {
			network.Services[name] = gate.URL
		}
	}
	sources, err := local.Sources(set, network)
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		return kafkasource.Run(ctx, kafkasource.Config{Sources: sources, Logger: silent})
	})
}

// Gate is that before a function, or before the KafkaSinks.
func (p *Pipeline) Gate(name string) *Gate { return p.gates[name] }

// Running names the functions that run.
func (p *Pipeline) Running() []string { return slices.Sorted(maps.Keys(p.services)) }

// Kill ends a function's process in the middle of whatever it is at, and starts
// another.
func (p *Pipeline) Kill(t *testing.T, name string) {
	t.Helper()
	dead := p.services[name].alive.Load()
	dead.kill()
	p.services[name].start(t)
}
