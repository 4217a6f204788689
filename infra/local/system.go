// Package local runs the whole system on one machine. It is a deployment target
// like the cluster: it reads the cluster's manifests and each func.yaml, and
// does with real processes what the cluster would do with pods.
package local

import (
	"context"
	"maps"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

// System is the running system.
type System struct {
	plan       *plan
	supervisor *supervisor.Supervisor
	lock       *stateLock

	lost    chan struct{} // closed when the state folder is gone
	unwatch func()
}

const (
	// startTimeout bounds the start; the first one makes a database.
	startTimeout = 2 * time.Minute
	// stopTimeout is when Stop stops asking: Ctrl-C promises ten seconds.
	stopTimeout = 9 * time.Second
	// watchEvery is how often to see whether the state folder is still there.
	watchEvery = time.Second
)

// Start starts everything and returns when every function is ready. After an
// error nothing is left running.
func Start(ctx context.Context, options Options) (*System, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	plan, err := newPlan(options)
	if err != nil {
		return nil, err
	}
	if err := claim(options.State); err != nil {
		return nil, err
	}
	lock, err := lockState(options.State)
	if err != nil {
		return nil, err
	}
	system, err := open(ctx, plan, lock)
	if err != nil {
		lock.release()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = system.start(ctx)
	if err == nil {
		err = system.saveEnvironment()
	}
	if err != nil {
		system.Stop() //nolint:contextcheck // ctx may have ended: stopping has a time of its own
		return nil, err
	}
	return system, nil
}

// open does all that comes before the first process.
func open(ctx context.Context, plan *plan, lock *stateLock) (*System, error) {
	// A run that was killed has left its addresses.
	if err := os.RemoveAll(plan.path(environmentFile)); err != nil {
		return nil, unwritable(plan.State, err)
	}
	if err := plan.loadSecrets(); err != nil {
		return nil, err
	}
	plan.useOwn()
	if err := plan.preflight(ctx); err != nil {
		return nil, err
	}
	processes, err := supervisor.New(plan.files())
	if err != nil {
		return nil, err
	}
	system := &System{plan: plan, supervisor: processes, lock: lock, lost: make(chan struct{})}
	watch, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	system.unwatch = unwatch
	go system.watch(watch)
	return system, nil
}

// files says where processes have their files, and who hears of them.
func (p *plan) files() supervisor.Options {
	return supervisor.Options{RunDir: p.path("run"), LogDir: p.path("logs"), Line: p.Line, Say: p.Say}
}

// watch notices that the state folder was removed, which nothing forbids: what
// is committed from then on is lost, and the lock keeps nobody away any more.
func (s *System) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.lock.lost() {
				close(s.lost)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// useOwn puts what the user has in place of what was generated.
func (p *plan) useOwn() {
	p.secrets[keyDatabaseURL] = p.DatabaseURL
	if p.S3 != nil {
		p.secrets[keyS3Access], p.secrets[keyS3Secret] = p.S3.AccessKey, p.S3.SecretKey
	}
}

// Stop ends everything, in an order that lets work under way come to its end,
// and returns when all is gone.
func (s *System) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.unwatch()
	if !s.lock.lost() { // else it may be another system's
		_ = os.Remove(s.plan.path(environmentFile)) // nobody needs addresses where nothing is
	}
	s.supervisor.Stop(ctx)
	s.lock.release()
}

// Lost is closed when the state folder was removed while the system runs. It
// should then be stopped.
func (s *System) Lost() <-chan struct{} { return s.lost }

// Kill kills a process as the kernel would; it is started again.
func (s *System) Kill(name string) error { return s.supervisor.Kill(name) }

// Processes names all processes.
func (s *System) Processes() []string { return s.supervisor.Names() }

// Addresses tells where every process listens.
func (s *System) Addresses() Addresses { return maps.Clone(s.plan.addresses) }

// DatabaseURL is how to connect to the database.
func (s *System) DatabaseURL() string { return s.plan.secrets[keyDatabaseURL] }

// ShownDatabase is the database for people to see: with the password of a
// private one, which is for this machine alone, and without that of the user's.
func (s *System) ShownDatabase() string {
	if s.plan.DatabaseURL == "" {
		return s.DatabaseURL()
	}
	// Parsed, since it need not be a URL, and a URL may have a password in its query.
	config, err := pgx.ParseConfig(s.plan.DatabaseURL)
	if err != nil {
		return "your own"
	}
	shown := url.URL{
		Scheme: "postgres", User: url.User(config.User),
		Host: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), Path: "/" + config.Database,
	}
	return shown.String()
}

// Secrets are what the functions were given as secrets, by key.
func (s *System) Secrets() Secrets { return maps.Clone(s.plan.secrets) }

// Settings are what the functions were given as the ConfigMap.
func (s *System) Settings() map[string]string { return maps.Clone(s.plan.values) }

// Brokers is how to connect to Kafka.
func (s *System) Brokers() string { return strings.Join(s.plan.brokers(), ",") }

// StateDir is where everything is that lasts.
func (s *System) StateDir() string { return s.plan.State }

func (s *System) start(ctx context.Context) error {
	platform, waiting := errgroup.WithContext(ctx)
	platform.Go(func() error { return s.startDatabase(waiting) })
	platform.Go(func() error { return s.startKafka(waiting) })
	platform.Go(func() error { return s.startServices(waiting) })
	if err := platform.Wait(); err != nil {
		return err
	}
	return s.startFunctions(ctx)
}
