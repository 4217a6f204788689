package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/postgres"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

func cluster(t *testing.T) postgres.Cluster {
	t.Helper()
	installation, err := postgres.Find(t.Context(), "", 0)
	if err != nil {
		t.Fatalf("these tests need PostgreSQL's server on the machine: %v", err)
	}
	owner, err := postgres.ServerOwner()
	if err != nil {
		t.Fatal(err)
	}
	return postgres.Cluster{
		Installation: installation, Owner: owner, Dir: filepath.Join(open(t), "postgres"),
		Port: 5433 + localtest.PortOffset(t), Password: "not so secret",
	}
}

// open makes a folder that others may enter, which t.TempDir's is not: as root,
// another user runs the server.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderflow-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, postgres.AboveMode()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files is where processes have theirs.
func files(t *testing.T) supervisor.Options {
	t.Helper()
	dir := t.TempDir()
	return supervisor.Options{RunDir: dir, LogDir: dir}
}

func run(t *testing.T, c postgres.Cluster) *supervisor.Supervisor {
	t.Helper()
	dir := t.TempDir()
	s, err := supervisor.New(supervisor.Options{
		RunDir: dir, LogDir: dir, Say: func(text string) { t.Log(text) },
		Restart: supervisor.Backoff{First: 50 * time.Millisecond, Max: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(c.Process()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	ready(t, c)
	return s
}

func ready(t *testing.T, c postgres.Cluster) {
	t.Helper()
	localtest.Eventually(t, "postgres is ready", 30*time.Second, func() bool { return c.Ready(t.Context()) == nil })
}

func connect(t *testing.T, c postgres.Cluster) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestClusterKeepsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if err := c.Init(t.Context(), files(t)); err != nil {
		t.Fatal(err)
	}
	s := run(t, c)
	conn := connect(t, c)
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "listen_addresses": "127.0.0.1", "TimeZone": "UTC"} {
		var got string
		if err := conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", setting, got, err, want)
		}
	}
	if _, err := conn.Exec(t.Context(), "create table kept (n int); insert into kept values (7)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill("postgres"); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "it ends", 10*time.Second, func() bool { return s.Ends("postgres") > 0 })
	ready(t, c)
	var kept int
	if err := connect(t, c).QueryRow(t.Context(), "select n from kept").Scan(&kept); err != nil || kept != 7 {
		t.Errorf("after a kill: n = %d, %v, want 7", kept, err)
	}
}

func TestClusterAsksForItsPassword(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if err := c.Init(t.Context(), files(t)); err != nil {
		t.Fatal(err)
	}
	run(t, c)
	stranger := c
	stranger.Password = "another"
	if err := stranger.Ready(t.Context()); !errors.Is(err, postgres.ErrRefused) {
		t.Errorf("Ready() with another password = %v", err)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	// What a run left that was killed in the middle must not be in the way.
	if err := os.MkdirAll(filepath.Join(c.Dir, "unfinished", "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Init(t.Context(), files(t)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(c.Dir)
	if err != nil || len(left) != 1 || !c.Exists() {
		t.Errorf("the folder holds %v, %v, want the data only", left, err)
	}
	c.Installation.Major++
	if err := c.Init(t.Context(), files(t)); err == nil || !strings.Contains(err.Error(), "make reset") {
		t.Errorf("Init() with a newer PostgreSQL = %v, want what to do", err)
	}
}

// What initdb says in the middle is the reason, not what it does about it last.
func TestInitSaysWhy(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	c.Installation.Bin = open(t)
	script := "#!/bin/sh\necho creating\necho 'initdb: error: the disk is full' >&2\necho 'initdb: removing contents of data directory' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(c.Installation.Bin, "initdb"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Init(t.Context(), files(t)); err == nil || !strings.HasSuffix(err.Error(), "initdb: error: the disk is full") {
		t.Errorf("Init() = %v, want why", err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "password")); err == nil {
		t.Error("the password is left")
	}
}

// Ctrl-C ends what initdb has started, too.
func TestInitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	c.Installation.Bin = open(t)
	script := "#!/bin/sh\nsleep 60 &\necho $!\nwait\n"
	if err := os.WriteFile(filepath.Join(c.Installation.Bin, "initdb"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	options, child, ended := files(t), 0, make(chan error, 1)
	go func() { ended <- c.Init(ctx, options) }()
	localtest.Eventually(t, "initdb has a child", 10*time.Second, func() bool {
		log, _ := os.ReadFile(filepath.Join(options.LogDir, "initdb.log"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(log)))
		return child > 0
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Init() = %v, want that it was cancelled", err)
	}
	localtest.Eventually(t, "its child is gone", 10*time.Second, func() bool { return syscall.Kill(child, 0) != nil })
}

// A number that is another process's by now is no reason never to start again.
func TestStalePid(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if err := c.Init(t.Context(), files(t)); err != nil {
		t.Fatal(err)
	}
	// Postgres takes a process of its own user's for the server.
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Credential: c.Owner.Credential()}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	path := filepath.Join(c.Dir, "data", "postmaster.pid")
	stale := fmt.Sprintf("%d\n%s\n", other.Process.Pid, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.Owner.Lent {
		if err := os.Chown(path, c.Owner.UID, c.Owner.GID); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.RemoveStale(); err != nil {
		t.Fatal(err)
	}
	run(t, c)
	if err := c.RemoveStale(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of a server that runs was removed: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ version, want string }{
		"old":     {"postgres (PostgreSQL) 14.3", "15 or newer is needed"},
		"strange": {"something else", "it says"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, binary := range []string{"postgres", "initdb"} {
				script := "#!/bin/sh\necho '" + test.version + "'\n"
				if err := os.WriteFile(filepath.Join(dir, binary), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := postgres.Find(t.Context(), dir, 0); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Find() = %v, want %q", err, test.want)
			}
		})
	}
	if _, err := postgres.Find(t.Context(), t.TempDir(), 0); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("Find() in an empty folder = %v, want ErrNotFound", err)
	}
}

func TestCanEnter(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.MkdirAll(filepath.Join(closed, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := postgres.Owner{UID: os.Getuid() + 12345, GID: os.Getgid() + 12345, Lent: true}
	if stranger.CanEnter(filepath.Join(closed, "below", "not there yet")) {
		t.Error("a stranger can enter a closed folder")
	}
	if !stranger.CanEnter("/usr/lib") {
		t.Error("a stranger can't enter /usr/lib")
	}
	self := postgres.Owner{UID: os.Getuid(), GID: os.Getgid(), Lent: true}
	if !self.CanEnter(closed) {
		t.Error("the owner can't enter a folder of its own")
	}
}

// Data that the server could not run on are told from those it can, before it tries.
func TestCheckData(t *testing.T) {
	t.Parallel()
	self := postgres.Owner{UID: os.Getuid(), GID: os.Getgid()}
	stranger := postgres.Owner{UID: os.Getuid() + 12345, GID: os.Getgid() + 12345, Lent: true}
	dir := filepath.Join(t.TempDir(), "postgres")
	for range 2 {
		if err := self.Own(dir); err != nil {
			t.Fatal(err)
		}
	}
	link, file := dir+".link", dir+".file"
	if err := errors.Join(os.Symlink(dir, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	closedAbove := self
	closedAbove.Lent = true
	if err := os.Chmod(filepath.Dir(dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := closedAbove.CheckData(dir); err == nil || !strings.Contains(err.Error(), "can't enter") {
		t.Errorf("CheckData() below a closed folder = %v", err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		owner postgres.Owner
		dir   string
		want  string
	}{
		"a stranger's": {stranger, dir, "they belong to"},
		"a link":       {self, link, "no folder"},
		"a file":       {self, file, "no folder"},
		"gone":         {self, dir + ".gone", "gone"},
	} {
		if err := test.owner.CheckData(test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("CheckData() of %s = %v, want %q", name, err, test.want)
		}
	}
	if err := self.CheckData(dir); err != nil || !self.Owns(dir) || self.Owns(link) {
		t.Errorf("CheckData() of our own = %v", err)
	}
}

// A path that is too long for a socket is no reason not to start.
func TestLongPath(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	c.Dir = filepath.Join(filepath.Dir(c.Dir), strings.Repeat("long-", 30))
	process := c.Process()
	if got := strings.Join(process.Args, " "); !strings.Contains(got, "unix_socket_directories= ") {
		t.Errorf("arguments = %s, want no socket", got)
	}
	if process.StopSignal != syscall.SIGINT || process.DeathSignal != syscall.SIGQUIT {
		t.Error("want a fast shutdown, and crash recovery if the supervisor dies")
	}
}
