// Package apachekafka runs Apache Kafka itself, one node in KRaft mode, beside
// what a test holds against it. The jars come from make bin/kafka; the machine
// brings Java 17.
package apachekafka

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

const (
	port           = 9092
	controllerPort = 9093
	// patience is how long a start may take: the JVM's, and the replay of a log
	// that was not closed.
	patience = time.Minute
	// clusterID is any: the cluster is nobody else's.
	clusterID = "T3JkZXJmbG93LXRlc3RzIQ"
	name      = "apache-kafka"
)

// Broker is a running node. It is started again when it dies.
type Broker struct {
	// Brokers is the address that clients begin with.
	Brokers string

	jars, dir  string
	java       string
	supervisor *supervisor.Supervisor
}

// Start starts a node with the jars of a folder, on ports of its own, until the
// test ends. Its log is shown if the test fails.
func Start(t *testing.T, jars string) *Broker {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal("Apache Kafka needs Java 17: apt-get install openjdk-17-jre-headless")
	}
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); err != nil || len(found) == 0 {
		t.Fatalf("no Apache Kafka in %q: make bin/kafka gets it", jars)
	}
	offset := localtest.PortOffset(t)
	b := &Broker{Brokers: fmt.Sprintf("127.0.0.1:%d", port+offset), jars: jars, dir: t.TempDir(), java: java}
	if err := b.configure(offset); err != nil {
		t.Fatalf("configure Apache Kafka: %v", err)
	}
	b.open(t)
	t.Cleanup(func() {
		b.close()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(b.dir, "logs", name+".log"))
			t.Logf("the end of Apache Kafka's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return b
}

// Kill kills the node (-9), and returns when it answers again.
func (b *Broker) Kill(t *testing.T) {
	t.Helper()
	ends := b.supervisor.Ends(name)
	if err := b.supervisor.Kill(name); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "Apache Kafka is dead", patience, func() bool { return b.supervisor.Ends(name) > ends })
	b.await(t)
}

// Lose kills the node and brings it back without anything that it knew.
func (b *Broker) Lose(t *testing.T) {
	t.Helper()
	b.close()
	if err := os.RemoveAll(b.data()); err != nil {
		t.Fatalf("lose Apache Kafka's data: %v", err)
	}
	b.open(t)
}

func (b *Broker) data() string { return filepath.Join(b.dir, "data") }

func (b *Broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// configure writes what differs from Kafka's defaults: one node that is broker
// and controller, so one copy of everything, and ports.
func (b *Broker) configure(offset int) error {
	return os.WriteFile(b.properties(), fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://%[1]s,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=100
`, b.Brokers, controllerPort+offset, b.data()), 0o600)
}

func (b *Broker) open(t *testing.T) {
	t.Helper()
	var err error
	b.supervisor, err = supervisor.New(supervisor.Options{
		RunDir: filepath.Join(b.dir, "run"), LogDir: filepath.Join(b.dir, "logs"),
	})
	if err != nil {
		t.Fatal(err)
	}
	format := b.process("format", "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", clusterID, "-c", b.properties())
	if err := b.supervisor.Run(t.Context(), format); err != nil {
		t.Fatalf("format Apache Kafka's storage: %v", err)
	}
	if err := b.supervisor.Start(b.process(name, "kafka.Kafka", b.properties())); err != nil {
		t.Fatal(err)
	}
	b.await(t)
}

// close kills rather than stops: an orderly shutdown takes seconds, and what a
// test is about to lose need not be tidy.
func (b *Broker) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.supervisor.Stop(ctx)
}

func (b *Broker) process(as, class string, args ...string) supervisor.Process {
	return supervisor.Process{
		Name: as, Path: b.java, Dir: b.dir,
		Args: append([]string{"-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(b.jars, "*"), class}, args...),
	}
}

// await waits until the node answers, as a broker and not only at its port.
func (b *Broker) await(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers))
	if err != nil {
		t.Fatalf("connect to Apache Kafka: %v", err)
	}
	defer client.Close()
	localtest.Eventually(t, "Apache Kafka answers", patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return client.Ping(ctx) == nil
	})
}
