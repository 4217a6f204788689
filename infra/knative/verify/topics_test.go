package verify_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/infra/knative/verify"
)

// The script for a Kafka without Strimzi makes the same topics.
func TestTheScriptMakesTheSameTopics(t *testing.T) {
	t.Parallel()
	base, err := verify.Build(filepath.Join(root, "infra/knative/base"), "base")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, topic := range base.Topics {
		call := fmt.Sprintf("--topic %s --partitions %d --replication-factor %d", topic.Name, topic.Spec.Partitions, topic.Spec.Replicas)
		for _, key := range slices.Sorted(maps.Keys(topic.Spec.Config)) {
			call += fmt.Sprintf(" --config %s=%s", key, topic.Spec.Config[key])
		}
		want = append(want, call)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), calls(t)); diff != "" {
		t.Errorf("kafka-topics.sh differs from base/kafka-topics.yaml (-want +got):\n%s", diff)
	}
}

// A single broker can't wait for a second to have a record.
func TestTheScriptMakesTopicsForOneBroker(t *testing.T) {
	t.Parallel()
	for _, call := range calls(t, "REPLICATION_FACTOR=1") {
		if !strings.Contains(call, "--replication-factor 1 ") || !strings.Contains(call, "min.insync.replicas=1 ") {
			t.Errorf("kafka-topics was called with %s, want one replica", call)
		}
	}
}

// calls runs the script with a program in place of Kafka's that only says how it
// was called.
func calls(t *testing.T, environment ...string) []string {
	t.Helper()
	dir := t.TempDir()
	program, log := filepath.Join(dir, "kafka-topics"), filepath.Join(dir, "calls")
	write(t, program, "#!/bin/sh\necho \"$@\" >>"+log+"\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	script := exec.Command("sh", filepath.Join(root, "infra/knative/kafka-topics.sh"))
	script.Env = append([]string{"BOOTSTRAP_SERVERS=kafka:9092", "KAFKA_TOPICS=" + program, "COMMAND_CONFIG=a file"}, environment...)
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("kafka-topics.sh: %v\n%s", err, output)
	}
	var made []string
	for line := range strings.Lines(read(t, log)) {
		call, ok := strings.CutPrefix(strings.TrimSpace(line), "--bootstrap-server kafka:9092 --command-config a file --create --if-not-exists ")
		if !ok {
			t.Errorf("kafka-topics was called with %s", line)
		}
		made = append(made, call)
	}
	return slices.Sorted(slices.Values(made))
}

// A Kafka that Strimzi doesn't run has no use for KafkaTopics, and no such kind.
func TestWithoutStrimziThereIsNoTopic(t *testing.T) {
	t.Parallel()
	dir := project(t)
	write(t, filepath.Join(dir, "infra/knative/overlays/own/kustomization.yaml"),
		"resources: [../production]\ncomponents: [../../components/without-strimzi]\n")
	built, err := verify.Build(filepath.Join(dir, "infra/knative/overlays/own"), "own")
	if err != nil {
		t.Fatal(err)
	}
	if len(built.Topics) != 0 || len(built.Sinks) == 0 {
		t.Errorf("%d KafkaTopics and %d KafkaSinks, want none and all", len(built.Topics), len(built.Sinks))
	}
}
