package local

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	kafka "github.com/orderflow-project/orderflow/infra/local/broker"
	private "github.com/orderflow-project/orderflow/infra/local/postgres"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
)

// startDatabase brings up Postgres with the schema and the shop's catalogue.
func (s *System) startDatabase(ctx context.Context) error {
	if s.plan.cluster != nil {
		if err := s.startPostgres(ctx); err != nil {
			return err
		}
	}
	s.plan.Step("bringing the database's schema up to date")
	return Migrate(ctx, s.DatabaseURL())
}

func (s *System) startPostgres(ctx context.Context) error {
	cluster := s.plan.cluster
	if !cluster.Exists() {
		s.plan.Step("making a PostgreSQL database")
	}
	if err := cluster.Init(ctx, s.plan.files()); err != nil {
		return err
	}
	if err := cluster.RemoveStale(); err != nil {
		return err
	}
	s.plan.Step("starting PostgreSQL")
	if err := s.supervisor.Start(cluster.Process()); err != nil {
		return err
	}
	err := s.await(ctx, postgresServer, cluster.Ready)
	if errors.Is(err, private.ErrRefused) {
		return s.plan.lockedOut("does not have")
	}
	return err
}

// Migrate brings a database's schema up to date and fills the shop's catalogue.
func Migrate(ctx context.Context, databaseURL string) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: databaseURL})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.Migrate(ctx, pool); err != nil {
		return err
	}
	if err := demo.Seed(ctx, pool); err != nil {
		return fmt.Errorf("fill catalogue: %w", err)
	}
	return nil
}

// startKafka brings up the broker with its topics, and the way in.
func (s *System) startKafka(ctx context.Context) error {
	s.plan.Step("starting Kafka")
	topics, err := Topics(s.plan.manifests)
	if err != nil {
		return err
	}
	ensure := func(ctx context.Context) error { return kafka.EnsureTopics(ctx, s.plan.brokers(), topics) }
	if s.plan.starts(broker) {
		err = s.startBroker(ctx, ensure)
	} else {
		err = ensure(ctx)
	}
	if err != nil {
		return err
	}
	return s.startAndWait(ctx, s.plan.kafkaSink(), "/readyz")
}

// startBroker counts the broker as ready when it has its topics: it listens
// before it has read its log, and a log that it can't read ends it.
func (s *System) startBroker(ctx context.Context, ensure func(context.Context) error) error {
	if err := s.supervisor.Start(s.plan.broker()); err != nil {
		return err
	}
	err := s.await(ctx, broker, func(ctx context.Context) error {
		if err := listens(ctx, s.plan.addresses.Host(broker)); err != nil {
			return err // a client of Kafka's would wait longer before it tries again
		}
		return ensure(ctx)
	})
	if errors.Is(err, errEndsAgain) {
		return fmt.Errorf("%w; if that says that the data in %s are damaged, remove the folder: no order is lost, order-recovery sends again what they wait for",
			err, s.plan.path("kafka"))
	}
	return err
}

// startServices brings up what the functions call.
func (s *System) startServices(ctx context.Context) error {
	services, ctx := errgroup.WithContext(ctx)
	services.Go(func() error { return s.startAndWait(ctx, s.plan.paymentProvider(), "/healthz") })
	services.Go(func() error { return s.startAndWait(ctx, s.plan.mailbox(), "/healthz") })
	if s.plan.starts(s3Server) {
		services.Go(func() error { return s.startAndWait(ctx, s.plan.s3(), "/healthz") })
	}
	return services.Wait()
}

func (s *System) startAndWait(ctx context.Context, process supervisor.Process, health string) error {
	if err := s.supervisor.Start(process); err != nil {
		return err
	}
	url := s.plan.addresses.URL(process.Name) + health
	return s.await(ctx, process.Name, func(ctx context.Context) error { return answersOK(ctx, url) })
}

// startFunctions brings up the functions, and when all can be called, what calls them.
func (s *System) startFunctions(ctx context.Context) error {
	s.plan.Step("starting the functions")
	functions, waiting := errgroup.WithContext(ctx)
	for _, f := range s.plan.functions {
		process, err := s.plan.function(f)
		if err != nil {
			return err
		}
		functions.Go(func() error { return s.startAndWait(waiting, process, "/health/readiness") })
	}
	if err := functions.Wait(); err != nil {
		return err
	}
	if err := s.supervisor.Start(s.plan.kafkaSource()); err != nil {
		return err
	}
	return s.supervisor.Start(s.plan.pingSource())
}
