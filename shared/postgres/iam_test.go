package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/awsauth/awstest"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// rds is a Postgres as Amazon's is: by TLS, and with a token of IAM in place of a
// password. Behind it is the real one.
type rds struct {
	tb       testing.TB
	account  *awstest.Account
	listener net.Listener
	tls      *tls.Config
	// roots are the authorities of its certificate, as PEM.
	roots string
	// behind is the URL of the real Postgres.
	behind string
	open   sync.WaitGroup

	mu     sync.Mutex
	now    func() time.Time
	tokens []string
}

// iamUser is whom the tokens are for.
const iamUser = "orderflow"

func newRDS(t *testing.T, account *awstest.Account) *rds {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, roots := certificate(t)
	server := &rds{
		tb: t, account: account, listener: listener, roots: roots, now: time.Now, behind: postgrestest.NewURL(t),
		tls: &tls.Config{Certificates: []tls.Certificate{certificate}},
	}
	server.open.Go(server.serve)
	t.Cleanup(func() {
		listener.Close()
		server.open.Wait()
	})
	return server
}

// certificate is one for localhost that no system trusts.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (s *rds) config() postgres.Config {
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	return postgres.Config{
		URL:       "postgres://" + iamUser + "@localhost:" + port + "/orderflow?sslmode=verify-full",
		IAMRegion: awstest.Region, RootCerts: s.roots, MaxConns: 4,
	}
}

func (s *rds) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.open.Go(func() {
			defer conn.Close()
			s.handle(conn)
		})
	}
}

func (s *rds) handle(conn net.Conn) {
	first, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage()
	if err != nil {
		return // a port that was only looked at
	}
	if _, is := first.(*pgproto3.SSLRequest); !is {
		s.tb.Errorf("the connection begins with a %T, want a request for TLS", first)
		return
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return
	}
	secure := tls.Server(conn, s.tls)
	backend := pgproto3.NewBackend(secure, secure)
	startup, err := backend.ReceiveStartupMessage()
	if err != nil {
		return // who doesn't trust the certificate hangs up
	}
	user := startup.(*pgproto3.StartupMessage).Parameters["user"]
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	backend.Flush()
	backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	answer, err := backend.Receive()
	if err != nil {
		return
	}
	if err := s.check(user, answer.(*pgproto3.PasswordMessage).Password); err != nil {
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "PAM authentication failed: " + err.Error()})
		backend.Flush()
		return
	}
	s.handOn(secure, backend)
}

// check is what RDS looks at in a token.
func (s *rds) check(user, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, token)
	said, err := url.Parse("https://" + token)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	query := said.Query()
	got := query.Get("DBUser") + " " + query.Get("Action") + " " + said.Host
	if want := user + " connect localhost:" + port; got != want {
		return fmt.Errorf("the token is for %s, want %s", got, want)
	}
	return s.account.CheckURL(said, "rds-db", s.now())
}

// handOn connects to the real Postgres and carries what is said back and forth.
func (s *rds) handOn(secure net.Conn, backend *pgproto3.Backend) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	direct, err := pgconn.Connect(ctx, s.behind)
	if err != nil {
		s.tb.Errorf("connect to the real Postgres: %v", err)
		return
	}
	behind, err := direct.Hijack()
	if err != nil {
		s.tb.Errorf("connect to the real Postgres: %v", err)
		return
	}
	defer behind.Conn.Close()
	backend.Send(&pgproto3.AuthenticationOk{})
	for name, value := range behind.ParameterStatuses {
		backend.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	backend.Send(&pgproto3.BackendKeyData{ProcessID: behind.PID, SecretKey: behind.SecretKey})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: behind.TxStatus})
	backend.Flush()
	s.open.Go(func() {
		io.Copy(behind.Conn, secure)
		behind.Conn.Close()
	})
	io.Copy(secure, behind.Conn)
}

// given are the tokens that somebody came with.
func (s *rds) given() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tokens...)
}

// turn puts the server's clock forward.
func (s *rds) turn(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = func() time.Time { return time.Now().Add(by) }
}

func keys() awstest.Keys { return awstest.Keys{ID: "ASIATEST", Secret: "a secret of tests"} }

func openPool(t *testing.T, cfg postgres.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// These aren't parallel, as the account sets variables of the process.

func TestIAM(t *testing.T) {
	account := awstest.New(t, keys())
	server := newRDS(t, account)
	pool := openPool(t, server.config())
	if asked := account.Asked(); asked != 0 {
		t.Errorf("Open() asked AWS for keys %d times: a function must not wait for that", asked)
	}
	var orders int
	if err := pool.QueryRow(t.Context(), `select count(*) from orders`).Scan(&orders); err != nil {
		t.Fatal(err)
	}
	// A pool lives longer than a token: the next connection has one of its own.
	pool.Reset()
	if err := pool.QueryRow(t.Context(), `select count(*) from orders`).Scan(&orders); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Errorf("Migrate() = %v", err)
	}
	beside, err := postgres.Connect(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := beside.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if tokens := server.given(); len(tokens) < 4 {
		t.Errorf("%d connections gave a token, want one each of the pool's two, the migration's and the one beside", len(tokens))
	}
	if asked := account.Asked(); asked != 1 {
		t.Errorf("AWS was asked for keys %d times, want once: they are valid for an hour", asked)
	}
}

// A pool lives longer than a token, so each connection has its own: one that is
// made later has one that was made later. A token says the second it is of.
func TestIAMTokensAreFresh(t *testing.T) {
	account := awstest.New(t, keys())
	server := newRDS(t, account)
	pool := openPool(t, server.config())
	connect := func() error {
		pool.Reset()
		return pool.Ping(t.Context())
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	first := date(t, server.given()[0])
	stagetest.Await(t, pool, `select clock_timestamp() >= $1`, first.Add(time.Second))
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	if tokens := server.given(); !date(t, tokens[len(tokens)-1]).After(first) {
		t.Error("a connection that was made later gave a token that wasn't")
	}
	server.turn(16 * time.Minute)
	if err := connect(); err == nil || !strings.Contains(err.Error(), "it has expired") {
		t.Errorf("Ping() = %v, want that a token of 16 minutes ago has expired", err)
	}
}

func date(t *testing.T, token string) time.Time {
	t.Helper()
	said, err := url.Parse("https://" + token)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("20060102T150405Z", said.Query().Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestIAMRefusesAStranger(t *testing.T) {
	server := newRDS(t, awstest.New(t, keys()))
	cfg := server.config()
	for name, test := range map[string]struct {
		change func(t *testing.T, cfg *postgres.Config)
		want   string
	}{
		"another's keys": {func(t *testing.T, _ *postgres.Config) {
			// The process is now a pod of another account, with the same id.
			awstest.New(t, awstest.Keys{ID: keys().ID, Secret: "another"})
		}, "the signature is wrong"},
		"another region": {func(_ *testing.T, cfg *postgres.Config) { cfg.IAMRegion = "us-east-1" }, "it is for"},
		"no IAM":         {func(_ *testing.T, cfg *postgres.Config) { cfg.IAMRegion = "" }, "the token is for"},
		"no role": {func(t *testing.T, _ *postgres.Config) {
			awstest.New(t, keys())
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/another")
		}, "sign in to RDS by IAM"},
		"another's certificate": {func(t *testing.T, cfg *postgres.Config) { _, cfg.RootCerts = certificate(t) }, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := cfg
			test.change(t, &changed)
			err := openPool(t, changed).Ping(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Ping() = %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestIAMNeedsAServerThatProvesItself(t *testing.T) {
	t.Parallel()
	_, roots := certificate(t)
	for _, cfg := range []postgres.Config{
		{URL: "postgres://orderflow@db/orderflow", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@db/orderflow?sslmode=disable", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@db/orderflow?sslmode=require", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@db/orderflow?sslmode=verify-ca", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@one,two/orderflow?sslmode=verify-full", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@/orderflow?host=/run/postgresql&sslmode=verify-full", IAMRegion: "eu-central-1"},
		{URL: "postgres://orderflow@db/orderflow?sslmode=prefer", RootCerts: roots},
	} {
		if _, err := postgres.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "must name one host and have sslmode=verify-full") {
			t.Errorf("Open(%s) = %v, want it to refuse", cfg.URL, err)
		}
	}
	cfg := postgres.Config{URL: "postgres://orderflow@db/orderflow?sslmode=verify-full", RootCerts: "hunter2"}
	if _, err := postgres.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "DATABASE_ROOT_CERTS has no certificate") {
		t.Errorf("Open() = %v, want it to refuse what is no certificate", err)
	}
}
