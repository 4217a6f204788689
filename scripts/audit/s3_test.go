package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/shared/freeport"
)

// asProgram has the test binary be the program itself, with its exit code.
const asProgram = "ORDERFLOW_AUDIT"

// labels is where the project's S3 listens, in a process of its own: all tests
// share it, as no two of them have a label in common.
var labels bucket

// disk is where S3 keeps its data.
var disk string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	code, err := withS3(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withS3(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "orderflow-audit-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "orderflow")
	build := exec.Command("go", "build", "-o", program, "./cmd/orderflow")
	build.Dir = filepath.Join("..", "..", "infra", "local")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build infra/local/cmd/orderflow: %w\n%s", err, out)
	}
	stop, err := startS3(program, filepath.Join(dir, "data"))
	if err != nil {
		return 0, fmt.Errorf("start S3: %w", err)
	}
	return run(), stop()
}

func startS3(program, dir string) (stop func() error, err error) {
	port, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	disk = dir
	address := fmt.Sprintf("127.0.0.1:%d", port)
	labels = bucket{Name: "labels-of-tests", Region: "eu-central-1", Endpoint: "http://" + address, AccessKey: "access", SecretKey: "secret-of-tests"}
	command := exec.Command(program, "s3", "--listen="+address, "--dir="+dir, "--region="+labels.Region, "--bucket="+labels.Name)
	command.Env = []string{"AWS_ACCESS_KEY_ID=" + labels.AccessKey, "AWS_SECRET_ACCESS_KEY=" + labels.SecretKey}
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop = func() error {
		err := command.Process.Kill()
		<-ended
		return err
	}
	if err := awaitReady(labels.Endpoint+"/healthz", ended); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

func awaitReady(address string, ended chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if answers(ctx, address) {
				return nil
			}
		case err := <-ended:
			ended <- err // for stop
			return fmt.Errorf("S3 has ended: %w", err)
		case <-ctx.Done():
			return errors.New("S3 does not get ready")
		}
	}
}

func answers(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}
