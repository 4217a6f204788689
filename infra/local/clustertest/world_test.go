package clustertest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

// world is the cluster, and what stands beside it.
type world struct {
	node        string // address of the node, where pods reach what runs beside the cluster
	domain      string // of public names
	dir         string
	overlay     string
	databaseURL string            // from here; pods have another
	settings    map[string]string // for who looks at the system from here
	environment []string          // of make
}

const bucket = "orderflow-labels"

// newWorld empties the cluster and starts what stands beside it.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		node:   kubectl(t, `get nodes -o jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`),
		domain: firstDomain(kubectl(t, "-n knative-serving get configmap config-domain -o jsonpath={.data}")),
		dir:    folder(t),
	}
	w.clear(t)
	makeRoom(t)
	w.startBeside(t)
	w.overlay = w.writeOverlay(t)
	w.environment = []string{
		"OVERLAY=" + w.overlay, "REGISTRY=localhost:5000/orderflow", "INSECURE=1",
		"BOOTSTRAP_SERVERS=" + broker, "REPLICATION_FACTOR=1", "PATH=" + w.dir + ":" + os.Getenv("PATH"),
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(w.dir, "kafka-topics.sh")); err != nil {
		t.Fatal(err)
	}
	return w
}

// folder is one that the user who runs Postgres for root may enter, and that kubectl
// finds by a relative path.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderflow-clustertest-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// firstDomain finds the domain in {"_example":"...","example.com":""}.
func firstDomain(data string) string {
	for quoted := range strings.SplitSeq(data, `"`) {
		if strings.Contains(quoted, ".") && !strings.ContainsAny(quoted, " \n\\") {
			return quoted
		}
	}
	return "svc.cluster.local"
}

// clear removes what an earlier run has left.
func (w *world) clear(t *testing.T) {
	t.Helper()
	kubectl(t, "delete namespace "+namespace+" --ignore-not-found --timeout=300s")
	removeTopics(t)
}

// makeRoom lowers what Knative's own components ask of the node's processors: with
// what they ask by default, and all functions beside them, a node of two takes no pod
// more. Functions ask what they ask anywhere.
func makeRoom(t *testing.T) {
	t.Helper()
	for _, place := range []string{"knative-serving", "knative-eventing"} {
		kubectl(t, "-n "+place+" set resources deployments --all --requests=cpu=5m")
		for deployment := range strings.FieldsSeq(kubectl(t, "-n "+place+" get deployments -o name")) {
			kubectl(t, "-n "+place+" rollout status "+deployment+" --timeout=300s")
		}
	}
}

// startBeside starts Postgres and the stand-ins for the providers, where pods can
// reach them.
func (w *world) startBeside(t *testing.T) {
	t.Helper()
	databaseURL, end, err := local.DisposablePostgres(t.Context(), local.Options{Root: root()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	address, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	forward(t, w.node+":5432", address.Host)
	w.databaseURL = databaseURL

	w.settings = map[string]string{
		"SHOP_URL": "http://storefront." + namespace + "." + w.domain, "DATABASE_URL": databaseURL,
		"PAYMENT_PROVIDER_URL": "http://" + w.node + ":8070", "PAYMENT_PROVIDER_KEY": rand.Text(),
		"SENDGRID_HOST": "http://" + w.node + ":8025", "SENDGRID_API_KEY": rand.Text(),
		"AWS_ENDPOINT_URL_S3": "http://" + w.node + ":9000", "AWS_REGION": "eu-central-1", "LABEL_BUCKET": bucket,
		"AWS_ACCESS_KEY_ID": rand.Text(), "AWS_SECRET_ACCESS_KEY": rand.Text(),
		"ORDER_TOKEN_KEY": rand.Text() + rand.Text(), "BACKOFFICE_TOKEN": rand.Text(), "BACKOFFICE_SESSION_KEY": rand.Text() + rand.Text(), "STRIPE_WEBHOOK_SECRET": rand.Text(),
	}
	processes, err := supervisor.New(supervisor.Options{RunDir: w.dir, LogDir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { processes.Stop(context.WithoutCancel(t.Context())) })
	for name, args := range map[string][]string{
		"payment-provider": {"--listen", w.node + ":8070"},
		"mailbox":          {"--listen", w.node + ":8025"},
		"s3":               {"--listen", w.node + ":9000", "--bucket", bucket},
	} {
		err := processes.Start(supervisor.Process{
			Name: name, Path: bin("orderflow"), Dir: root(), Env: w.variables(),
			Args: append([]string{name, "--dir", filepath.Join(w.dir, name+"-data")}, args...),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range []string{"8070", "8025", "9000", "5432"} {
		await(t, time.Minute, "port "+port+" takes connections", func() bool { return listens(w.node + ":" + port) })
	}
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// variables are the settings as an environment.
func (w *world) variables() []string {
	var environment []string
	for name, value := range w.settings {
		environment = append(environment, name+"="+value)
	}
	return environment
}

// forward hands on every connection: our Postgres listens on loopback only.
func forward(t *testing.T, from, to string) {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go handOn(client, to)
		}
	}()
}

func handOn(client net.Conn, to string) {
	defer client.Close() //nolint:errcheck // it is over
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is over
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it is what tcp gives
	}()
	_, _ = io.Copy(client, server)
}

// writeOverlay writes dev for this cluster, whose Kafka isn't Strimzi's: what a user
// would have in a folder of their own.
func (w *world) writeOverlay(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(w.dir, "overlay")
	write(t, filepath.Join(dir, "kustomization.yaml"), fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%[1]s/overlays/dev]
components: [%[1]s/components/without-strimzi]
patches:
  - target: {kind: KafkaSink|KafkaSource}
    patch: '[{"op": "replace", "path": "/spec/bootstrapServers", "value": ["%[2]s"]}]'
  - target: {kind: ConfigMap}
    patch: '[{"op": "replace", "path": "/data/SHOP_URL", "value": "%[3]s"}]'
`, relative(t, dir), broker, w.settings["SHOP_URL"]))
	write(t, filepath.Join(dir, "migrate", "kustomization.yaml"), fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%s/overlays/dev/migrate]
`, relative(t, filepath.Join(dir, "migrate"))))
	return dir
}

// relative is the way to infra/knative: kustomize takes no absolute one.
func relative(t *testing.T, from string) string {
	t.Helper()
	path, err := filepath.Rel(from, root("infra", "knative"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bring makes the Services by which dev knows the stand-ins.
func (w *world) bring(t *testing.T) {
	t.Helper()
	for name, port := range map[string]int{"payment-provider": 8070, "mailbox": 8025, "s3": 9000, "postgres": 5432} {
		apply(t, fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[2]s}
spec: {ports: [{port: %[3]d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s, namespace: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{port: %[3]d}]
endpoints: [{addresses: [%[4]s]}]
`, name, namespace, port, w.node))
	}
}

// makeSecrets does what people do by hand.
func (w *world) makeSecrets(t *testing.T) {
	t.Helper()
	fromPods, err := url.Parse(w.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	fromPods.Host = "postgres." + namespace + ".svc.cluster.local:5432"
	for secret, keys := range map[string][]string{
		"orderflow-order-token": {"ORDER_TOKEN_KEY"}, "orderflow-payment-provider": {"PAYMENT_PROVIDER_KEY"},
		"orderflow-sendgrid": {"SENDGRID_API_KEY"}, "orderflow-stripe-webhook": {"STRIPE_WEBHOOK_SECRET"}, "orderflow-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
		"orderflow-backoffice": {"BACKOFFICE_TOKEN", "BACKOFFICE_SESSION_KEY", "BACKOFFICE_PASSWORD", "BACKOFFICE_OIDC_CLIENT_SECRET"},
		"orderflow-postgres":   {"DATABASE_URL"},
	} {
		args := []string{"-n", namespace, "create", "secret", "generic", secret}
		for _, key := range keys {
			value := w.settings[key]
			if key == "DATABASE_URL" {
				value = fromPods.String()
			}
			args = append(args, "--from-literal="+key+"="+value)
		}
		kubectlWith(t, "", args...)
	}
}

// ask asks the database one question.
func ask[T any](t *testing.T, w *world, question string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the answer has told all there is
	var answer T
	if err := conn.QueryRow(t.Context(), question).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}
