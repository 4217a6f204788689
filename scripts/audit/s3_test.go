package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/orderflow-project/orderflow/shared/freeport"
	"github.com/orderflow-project/orderflow/shared/subprocess"
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
	if err := subprocess.Build(program, filepath.Join("..", "..", "infra", "local"), "./cmd/orderflow"); err != nil {
		return 0, err
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
	return subprocess.Start(command, subprocess.Healthy(labels.Endpoint+"/healthz"))
}
