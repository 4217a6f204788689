package conformance_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource/conformance"
)

const terminate = syscall.SIGTERM

func signalled() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), terminate)
}

// external is a data plane that runs elsewhere.
var external plane

type plane struct {
	brokers, ingress, inner, binary, structured string
	listen, apply, remove, kill                 string
	namespace                                   string
	patience                                    time.Duration
}

func init() { //nolint:gochecknoinits // where go test wants its flags
	flag.StringVar(&external.ingress, "ingress", "", "URL of another KafkaSink ingress than ours; the other flags count only with it")
	flag.StringVar(&external.brokers, "brokers", "", "its Kafka, as the cases reach it: host:port,…")
	flag.StringVar(&external.inner, "inner-brokers", "", "the same, as the data plane reaches it, if that differs")
	flag.StringVar(&external.namespace, "namespace", "default", "the namespace of its sinks, and for sources")
	flag.StringVar(&external.binary, "binary", "binary", "a KafkaSink in binary mode whose topic has its name")
	flag.StringVar(&external.structured, "structured", "structured", "one in structured mode")
	flag.StringVar(&external.listen, "listen", "127.0.0.1", "an address of this machine that the data plane reaches")
	flag.StringVar(&external.apply, "apply", "kubectl apply -f -", "what applies a KafkaSource that it reads")
	flag.StringVar(&external.remove, "delete", "kubectl delete --wait=false -f -", "what removes it")
	flag.DurationVar(&external.patience, "patience", 2*time.Minute, "how long a case waits for what has to happen")
	flag.StringVar(&external.kill, "kill", "", "what kills (-9) the dispatcher, which comes back by itself")
}

func (p plane) target() conformance.Target {
	return conformance.Target{
		Brokers:    strings.Split(p.brokers, ","),
		Ingress:    strings.TrimSuffix(p.ingress, "/"),
		Binary:     kafkasink.Sink{Namespace: p.namespace, Name: p.binary, Topic: p.binary},
		Structured: kafkasink.Sink{Namespace: p.namespace, Name: p.structured, Topic: p.structured, ContentMode: kafkabinding.Structured},
		Namespace:  p.namespace,
		Patience:   p.patience,
		Serve:      p.serve,
		Apply:      p.start,
	}
}

func (p plane) serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	listener, err := net.Listen("tcp", net.JoinHostPort(p.listen, "0"))
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// start applies a source. To pause it is to have no consumers: to delete it
// would delete its consumer group too.
func (p plane) start(t *testing.T, source kafkasource.Source) conformance.Applied {
	t.Helper()
	p.run(t, p.apply, p.manifest(t, source, 1))
	t.Cleanup(func() { p.run(t, p.remove, p.manifest(t, source, 0)) })
	return conformance.Applied{
		Pause: func() { p.run(t, p.apply, p.manifest(t, source, 0)) },
		Kill: func() {
			if p.kill == "" {
				t.Fatal("this case needs -kill: what kills the dispatcher")
			}
			p.run(t, p.kill, nil)
		},
	}
}

func (p plane) run(t *testing.T, command string, stdin []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-ec", command)
	cmd.Stdin = strings.NewReader(string(stdin))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, output)
	}
}

type object map[string]any

// manifest is a KafkaSource in JSON, which is YAML too.
func (p plane) manifest(t *testing.T, source kafkasource.Source, consumers int) []byte {
	t.Helper()
	brokers := source.BootstrapServers
	if p.inner != "" {
		brokers = strings.Split(p.inner, ",")
	}
	spec := object{
		"bootstrapServers": brokers, "topics": source.Topics, "consumerGroup": source.ConsumerGroup,
		"consumers": consumers, "sink": object{"uri": source.Sink},
	}
	if source.InitialOffset != "" {
		spec["initialOffset"] = source.InitialOffset
	}
	if source.Ordering != "" {
		spec["ordering"] = source.Ordering
	}
	if len(source.CEOverrides) > 0 {
		spec["ceOverrides"] = object{"extensions": source.CEOverrides}
	}
	if source.Delivery != nil {
		spec["delivery"] = delivery(*source.Delivery)
	}
	labels := object{}
	if source.KeyType != "" {
		labels["kafkasources.sources.knative.dev/key-type"] = source.KeyType
	}
	text, err := json.Marshal(object{
		"apiVersion": "sources.knative.dev/v1", "kind": "KafkaSource",
		"metadata": object{"name": source.Name, "namespace": p.namespace, "labels": labels},
		"spec":     spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func delivery(d kafkasource.Delivery) object {
	block := object{"retry": d.Retry}
	if d.BackoffPolicy != "" {
		block["backoffPolicy"] = d.BackoffPolicy
	}
	if d.BackoffDelay != nil {
		block["backoffDelay"] = iso8601(*d.BackoffDelay)
	}
	if d.Timeout > 0 {
		block["timeout"] = iso8601(d.Timeout)
	}
	if d.DeadLetterSink != "" {
		block["deadLetterSink"] = object{"uri": d.DeadLetterSink}
	}
	return block
}

// iso8601 writes a duration as Knative wants it, which has no room for an hour
// in seconds.
func iso8601(d time.Duration) string {
	minutes := d.Truncate(time.Minute)
	return fmt.Sprintf("PT%gM%gS", minutes.Minutes(), (d - minutes).Seconds())
}
