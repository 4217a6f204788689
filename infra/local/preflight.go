package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

const (
	// reachTimeout bounds the attempt to reach what the user named.
	reachTimeout = 5 * time.Second
	// leftoverTimeout is how long what an earlier run left may take to end.
	leftoverTimeout = 5 * time.Second
	// minDisk is what a first start and a few thousand orders need.
	minDisk = 512 << 20
	// probeFile is written to find out whether that is possible.
	probeFile = "probe"
)

// preflight finds out what would keep the system from running before anything
// is started. Each error is one line with what to do.
func (p *plan) preflight(ctx context.Context) error {
	if err := p.checkPrograms(); err != nil {
		return err
	}
	if err := p.checkDisk(); err != nil {
		return err
	}
	p.waitForLeftovers(ctx)
	if err := p.checkPorts(ctx); err != nil {
		return err
	}
	if err := p.checkDatabase(ctx); err != nil {
		return err
	}
	return p.checkKafka(ctx)
}

func (p *plan) checkPrograms() error {
	for _, program := range []string{"orderflow", "function"} {
		if _, err := os.Stat(filepath.Join(p.Bin, program)); err != nil {
			return fmt.Errorf("the program %s is not in %s: build it with make build", program, p.Bin)
		}
	}
	return nil
}

func (p *plan) checkDisk() error {
	probe := p.path(probeFile)
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return unwritable(p.State, err)
	}
	if err := os.Remove(probe); err != nil {
		return unwritable(p.State, err)
	}
	free, known := freeBytes(p.State)
	if known && free < minDisk {
		return fmt.Errorf("only %d MB of disk are free in %s, %d MB are needed: make room, or choose another folder with --state",
			free>>20, p.State, minDisk>>20)
	}
	return nil
}

// waitForLeftovers gives the processes of a run that was killed the moment they
// need to notice.
func (p *plan) waitForLeftovers(ctx context.Context) {
	holds, _ := filepath.Glob(p.path("run", "*.hold"))
	for _, path := range holds {
		_ = os.Remove(path) // whoever held a process held it in that run
	}
	left, _ := filepath.Glob(p.path("run", "*.pid"))
	if len(left) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leftoverTimeout)
	defer cancel()
	for len(p.takenPorts(ctx)) > 0 && ctx.Err() == nil {
		pause(ctx, 100*time.Millisecond)
	}
	for _, path := range left {
		_ = os.Remove(path)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *plan) checkPorts(ctx context.Context) error {
	taken := p.takenPorts(ctx)
	if len(taken) == 0 {
		return nil
	}
	var who []string
	for _, name := range taken {
		who = append(who, fmt.Sprintf("%d (%s)", p.addresses[name], name))
	}
	word, it := "port", "it"
	if len(who) > 1 {
		word, it = "ports", "them"
	}
	return fmt.Errorf("%s %s taken by another program: stop that, or move the whole system with --port-offset 1000 (make run PORT_OFFSET=1000) away from %s",
		word, strings.Join(who, ", "), it)
}

// takenPorts names the processes that could not listen now.
func (p *plan) takenPorts(ctx context.Context) []string {
	var taken []string
	for name := range p.addresses {
		if !p.starts(name) {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.addresses.Host(name))
		if err != nil {
			taken = append(taken, name)
			continue
		}
		_ = listener.Close()
	}
	slices.SortFunc(taken, func(a, b string) int { return p.addresses[a] - p.addresses[b] })
	return taken
}

// starts tells whether a process is ours to start, or the user has one.
func (p *plan) starts(name string) bool {
	switch name {
	case postgresServer:
		return p.DatabaseURL == ""
	case broker:
		return len(p.KafkaBrokers) == 0
	case s3Server:
		return p.S3 == nil
	default:
		return true
	}
}

// checkDatabase reaches the user's database, or finds a Postgres for a private one.
func (p *plan) checkDatabase(ctx context.Context) error {
	if p.DatabaseURL == "" {
		return p.findPostgres(ctx)
	}
	config, err := pgx.ParseConfig(p.DatabaseURL)
	if err != nil {
		return fmt.Errorf("DATABASE_URL is not a Postgres URL: write postgres://user:password@host:5432/database%s, or unset it to get a private Postgres", p.hidden())
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("DATABASE_URL leads nowhere: user %s, database %s on %s: %s: check it%s, or unset it to get a private Postgres",
			config.User, config.Database, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), innermost(err), p.hidden())
	}
	return conn.Close(ctx)
}

// hidden says what of the user's the functions don't get.
func (p *plan) hidden() string {
	if len(p.Hidden) == 0 {
		return ""
	}
	return " and write all into it, since functions get no " + strings.Join(p.Hidden, ", ")
}

// innermost is the end of a chain of errors, the part that says what happened
// without saying again where.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
			next = many.Unwrap()[0]
		}
		if next == nil {
			return strings.ReplaceAll(err.Error(), "\n", " ")
		}
		err = next
	}
}

func (p *plan) findPostgres(ctx context.Context) error {
	owner, err := postgres.ServerOwner()
	if err != nil {
		return err
	}
	dir, err := placeDatabase(p.State, owner)
	if err != nil {
		return err
	}
	cluster := &postgres.Cluster{
		Owner: owner, Dir: dir,
		Port: p.addresses[postgresServer], Password: p.secrets[keyPostgresPassword],
	}
	cluster.Installation, err = p.installation(ctx, dir, owner, cluster.Port)
	if err != nil {
		return err
	}
	// Now, since later many read what functions are given.
	p.cluster, p.secrets[keyDatabaseURL] = cluster, cluster.URL()
	return nil
}

// installation finds Postgres' binaries for the cluster in dir, or downloads
// them; the download tries them at a port.
func (o Options) installation(ctx context.Context, dir string, owner postgres.Owner, port int) (postgres.Installation, error) {
	found, err := postgres.Find(ctx, o.PostgresBin, postgres.Major(dir), filepath.Join(dir, "binaries", "bin"))
	if errors.Is(err, postgres.ErrNotFound) && o.PostgresBin == "" {
		found, err = o.download(ctx, owner, port)
	}
	if err != nil {
		return found, fmt.Errorf("%w: install it (apt-get install postgresql, brew install postgresql@17), name the folder of its binaries with --postgres-bin, or set DATABASE_URL", err)
	}
	return found, nil
}

// download fetches the binaries into the state folder, unless an earlier run did.
func (o Options) download(ctx context.Context, owner postgres.Owner, port int) (postgres.Installation, error) {
	if err := claim(o.State); err != nil {
		return postgres.Installation{}, err
	}
	dir, err := placeDatabase(o.State, owner)
	if err != nil {
		return postgres.Installation{}, err
	}
	dir = filepath.Join(dir, "binaries")
	if found, err := postgres.Find(ctx, filepath.Join(dir, "bin"), 0); err == nil {
		return found, nil
	}
	o.Step("downloading PostgreSQL, since this machine has none")
	return postgres.Download(ctx, dir, port)
}

// checkKafka reaches the user's Kafka.
func (p *plan) checkKafka(ctx context.Context) error {
	if len(p.KafkaBrokers) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.KafkaBrokers...), kgo.RetryTimeout(reachTimeout))
	if err == nil {
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, reachTimeout)
		defer cancel()
		err = client.Ping(ctx)
	}
	if err != nil {
		return fmt.Errorf("KAFKA_BROKERS %s can't be reached: %s: check it, or unset it to get an embedded broker",
			strings.Join(p.KafkaBrokers, ","), innermost(err))
	}
	return nil
}
