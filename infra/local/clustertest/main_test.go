package clustertest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the project's folder.
func root(path ...string) string {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		panic(err) // there is no working folder
	}
	return filepath.Join(append([]string{dir}, path...)...)
}

// bin is where make cluster-test has put the programs.
func bin(program string) string { return root("bin", "clustertest", program) }

// TestMain is kafka-topics.sh too, if called by that name: the one of Apache Kafka
// needs Java.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "kafka-topics.sh" {
		if err := makeTopic(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command runs a program in the project's folder and returns what it says.
func command(ctx context.Context, environment []string, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = root(), append(os.Environ(), environment...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	var output, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &trouble
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, output.String(), trouble.String())
	}
	return output.String(), nil
}

// kubectl must succeed; words are its arguments, of which none has a space.
func kubectl(t *testing.T, words string) string {
	t.Helper()
	return kubectlWith(t, "", strings.Fields(words)...)
}

func kubectlWith(t *testing.T, input string, args ...string) string {
	t.Helper()
	output, err := command(t.Context(), nil, input, "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

// apply has kubectl apply an object that is written down here.
func apply(t *testing.T, object string) {
	t.Helper()
	kubectlWith(t, object, "apply", "--filename=-")
}

const (
	namespace = "orderflow"
	lookEvery = 200 * time.Millisecond
)

// await looks until it is so.
func await(t *testing.T, limit time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for !so() {
		if time.Since(began) > limit {
			t.Fatalf("waited %s in vain: %s", limit, what)
		}
		<-ticker.C
	}
	return time.Since(began)
}

// pods are the names of the pods that run.
func pods(t *testing.T, place, selector string) []string {
	t.Helper()
	return strings.Fields(kubectl(t, "-n "+place+" get pods -l "+selector+" --field-selector=status.phase=Running -o jsonpath={.items[*].metadata.name}"))
}
