package function

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/shared/freeport"
	"github.com/orderflow-project/orderflow/shared/subprocess"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopS3(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	leaks := goleak.Find(goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
	if leaks != nil && code == 0 {
		fmt.Fprintln(os.Stderr, leaks)
		code = 1
	}
	os.Exit(code)
}

const (
	testBucket    = "labels-of-tests"
	testRegion    = "eu-central-1"
	testAccessKey = "access"
	testSecretKey = "secret-of-tests"
)

// s3Server is the project's S3 in a process of its own.
type s3Server struct {
	program, address, dir string
	stop                  func() error // once it is started
}

// sharedS3 is for all tests that don't stop it.
var sharedS3 struct {
	sync.Once
	server *s3Server
	err    error
}

func testS3(tb testing.TB) *s3Server {
	tb.Helper()
	sharedS3.Do(func() { sharedS3.server, sharedS3.err = startS3() })
	if sharedS3.err != nil {
		tb.Fatalf("start S3: %v", sharedS3.err)
	}
	return sharedS3.server
}

func stopS3() error {
	if sharedS3.server == nil {
		return nil
	}
	return errors.Join(sharedS3.server.stop(), os.RemoveAll(filepath.Dir(sharedS3.server.program)))
}

// startS3 builds the program, once for each run of the tests, and starts it.
func startS3() (*s3Server, error) {
	dir, err := os.MkdirTemp("", "orderflow-s3-")
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "orderflow")
	if err := subprocess.Build(program, filepath.Join("..", "..", "infra", "local"), "./cmd/orderflow"); err != nil {
		return nil, err
	}
	server, err := newS3Server(program, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if err := server.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return server, nil
}

func newS3Server(program, dir string) (*s3Server, error) {
	port, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	return &s3Server{program: program, dir: dir, address: fmt.Sprintf("127.0.0.1:%d", port)}, nil
}

func (s *s3Server) start() (err error) {
	//nolint:gosec,noctx // our own program; stop ends it
	command := exec.Command(s.program, "s3", "--listen="+s.address, "--dir="+s.dir, "--region="+testRegion, "--bucket="+testBucket)
	command.Env = []string{"AWS_ACCESS_KEY_ID=" + testAccessKey, "AWS_SECRET_ACCESS_KEY=" + testSecretKey}
	s.stop, err = subprocess.Start(command, subprocess.Healthy("http://"+s.address+"/healthz"))
	return err
}

func (s *s3Server) config() LabelConfig {
	return LabelConfig{
		Bucket: testBucket, Region: testRegion, Endpoint: "http://" + s.address, AccessKey: testAccessKey, SecretKey: testSecretKey,
	}
}

// label reads a label back; nil if there is none.
func (s *s3Server) label(tb testing.TB, key string) []byte {
	tb.Helper()
	bucket, err := openLabels(s.config())
	if err != nil {
		tb.Fatal(err)
	}
	object, err := bucket.client.GetObject(tb.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
	if _, missing := errors.AsType[*types.NoSuchKey](err); missing {
		return nil
	}
	if err != nil {
		tb.Fatalf("read label: %v", err)
	}
	defer object.Body.Close() //nolint:errcheck // read to the end below
	if got := aws.ToString(object.ContentType); got != "application/pdf" {
		tb.Errorf("content type of the label = %q, want application/pdf", got)
	}
	pdf, err := io.ReadAll(object.Body)
	if err != nil {
		tb.Fatalf("read label: %v", err)
	}
	return pdf
}
