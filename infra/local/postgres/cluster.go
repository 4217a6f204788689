package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

// name is the cluster's superuser and its one database.
const name = "orderflow"

// maxSocketPath is what fits into a socket's address, with the file's name.
const maxSocketPath = 107 - len("/.s.PGSQL.65535")

// Cluster is a private Postgres cluster.
type Cluster struct {
	Installation Installation
	Owner        Owner
	// Dir is the folder that holds the data folder; made as needed.
	Dir      string
	Port     int
	Password string
	// Disposable is for data that nobody will miss, as a test's: the server
	// doesn't wait for the disk, and takes as many connections as tests open.
	Disposable bool
}

// data is where the cluster's files are.
func (c Cluster) data() string { return filepath.Join(c.Dir, "data") }

// url is how to connect to a database of the cluster.
func (c Cluster) url(database string) string {
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, c.Password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)), Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

// URL is how to connect to the database.
func (c Cluster) URL() string { return c.url(name) }

// Exists tells whether the cluster was made before.
func (c Cluster) Exists() bool {
	_, err := os.Stat(filepath.Join(c.data(), "PG_VERSION"))
	return err == nil
}

// Init makes the cluster unless it is there. It appears all at once: a cluster
// half made by a run that was killed is thrown away. The files are those of the
// process that makes it.
func (c Cluster) Init(ctx context.Context, files supervisor.Options) error {
	if c.Exists() {
		return c.checkVersion()
	}
	unfinished := filepath.Join(c.Dir, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("clear postgres folder: %w", err)
	}
	for _, dir := range []string{c.Dir, unfinished} {
		if err := c.Owner.Own(dir); err != nil {
			return err
		}
	}
	if err := c.initdb(ctx, unfinished, files); err != nil {
		return err
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return fmt.Errorf("move postgres folder: %w", err)
	}
	return nil
}

func (c Cluster) initdb(ctx context.Context, dir string, files supervisor.Options) (err error) {
	password := filepath.Join(c.Dir, "password")
	if err := os.WriteFile(password, []byte(c.Password), 0o600); err != nil {
		return fmt.Errorf("hand password to initdb: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(password)) }()
	if c.Owner.Lent {
		if err := os.Chown(password, c.Owner.UID, c.Owner.GID); err != nil {
			return fmt.Errorf("hand password to initdb: %w", err)
		}
	}
	said := output{}
	files.Line = func(_, line string) { said.add(line) } // nobody needs to see it unless it fails
	// By a supervisor, since initdb and what it starts must not go on without us.
	processes, err := supervisor.New(files)
	if err != nil {
		return err
	}
	if err := processes.Run(ctx, c.making(dir, password)); err != nil {
		return fmt.Errorf("initdb: %w: %s", errors.Join(ctx.Err(), err), said.reason())
	}
	return ctx.Err()
}

// making is the process that makes the data.
func (c Cluster) making(dir, password string) supervisor.Process {
	return supervisor.Process{
		Name: "initdb", Path: filepath.Join(c.Installation.Bin, "initdb"),
		Args: []string{
			"--pgdata", dir, "--username", name, "--pwfile", password,
			"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions",
		},
		Env: environment(), Dir: c.Dir, User: c.Owner.Credential(),
		// To its server too, which initdb doesn't tell.
		SignalGroup: true,
	}
}

// output is what a process has written.
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

// reason is the line that says what went wrong. After it comes what initdb does
// about it.
func (o *output) reason() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, sign := range []string{"PANIC:", "FATAL:", "error:", ""} {
		for _, line := range slices.Backward(o.lines) {
			if strings.Contains(line, sign) && strings.TrimSpace(line) != "" {
				return strings.TrimSpace(line)
			}
		}
	}
	return "it says nothing"
}

func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// Major is the version that has made the data in dir, which only that version
// can read; 0 where there are none.
func Major(dir string) int {
	content, err := os.ReadFile(filepath.Join(Cluster{Dir: dir}.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return major
}

func (c Cluster) checkVersion() error {
	if made := Major(c.Dir); made != c.Installation.Major {
		return fmt.Errorf("the data in %s is of PostgreSQL %d, but %s is version %d: make that version available, or empty the data with make reset",
			c.data(), made, c.Installation.Bin, c.Installation.Major)
	}
	return nil
}

// Process is the server, to be kept running. Nothing is traded for speed that
// would lose a committed order, fsync and synchronous_commit stay on, unless the
// data is disposable.
func (c Cluster) Process() supervisor.Process {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(c.Port), "unix_socket_directories=" + c.socketDir(),
		"logging_collector=off", "timezone=UTC", "log_timezone=UTC",
	}
	// Fast shutdown: sessions are cut and all is written.
	stop := syscall.SIGINT
	if c.Disposable {
		settings = append(settings, "max_connections=500", "fsync=off", "synchronous_commit=off", "full_page_writes=off")
		stop = syscall.SIGQUIT
	} else {
		settings = append(settings, "max_connections=200", "fsync=on", "synchronous_commit=on")
	}
	args := []string{"-D", c.data()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return supervisor.Process{
		Name: "postgres", Path: filepath.Join(c.Installation.Bin, "postgres"), Args: args,
		Env: environment(), Dir: c.data(), User: c.Owner.Credential(),
		// SIGQUIT, when we are gone ourselves, leaves the rest to crash recovery.
		StopSignal: stop, DeathSignal: syscall.SIGQUIT,
	}
}

// socketDir is empty, for no socket, where the path is too long for one.
func (c Cluster) socketDir() string {
	if len(c.data()) > maxSocketPath {
		return ""
	}
	return c.data()
}

// ErrRefused says that the server is there and doesn't take our password: it
// won't take it the next time either.
var ErrRefused = errors.New("PostgreSQL refuses the password")

// Ready tells whether the server answers. The first time it does, it is given
// its database.
func (c Cluster) Ready(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.URL())
	if err == nil {
		return conn.Close(ctx)
	}
	answer, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case answer == nil:
		return fmt.Errorf("connect to postgres: %w", err)
	case answer.Code == invalidCatalogName:
		return c.createDatabase(ctx)
	case answer.Code == invalidPassword || answer.Code == invalidAuthorization:
		return fmt.Errorf("connect to postgres: %w: %w", ErrRefused, err)
	default:
		return fmt.Errorf("connect to postgres: %w", err)
	}
}

// How Postgres says that there is no such database, and that it lets one not in.
const (
	invalidCatalogName   = "3D000"
	invalidPassword      = "28P01"
	invalidAuthorization = "28000"
)

func (c Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the statement has told all there is
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}
