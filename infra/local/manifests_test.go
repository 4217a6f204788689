package local_test

import (
	"slices"
	"strings"
	"testing"

	notification "github.com/orderflow-project/orderflow/functions/customer-notification"
	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/kafkasource"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
)

const root = "../.."

func load(t *testing.T) *manifest.Set {
	t.Helper()
	set, err := manifest.Load(root + "/" + local.ManifestDir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func functions(t *testing.T) []manifest.Function {
	t.Helper()
	found, err := manifest.LoadFunctions(root + "/functions")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What a manifest says must be what the emulations are told.
func TestManifestsResolve(t *testing.T) {
	t.Parallel()
	set := load(t)
	services := map[string]string{}
	for _, f := range functions(t) {
		services[f.Name] = "http://" + f.Name
	}
	network := local.Network{Brokers: []string{"kafka:1"}, Ingress: "http://ingress", Services: services}
	sources, err := local.Sources(set, network)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if source.Sink != "http://"+source.Name || source.Delivery.Timeout == 0 || *source.Delivery.BackoffDelay == 0 {
			t.Errorf("source %s resolves to %+v", source.Name, source)
		}
	}
	if got := sources[0].Delivery.DeadLetterSink; got != "http://ingress/orderflow/order-dead-letter" {
		t.Errorf("dead letter sink = %s", got)
	}
	pings, err := local.Pings(set, network)
	if err != nil || len(pings) != 2 {
		t.Fatalf("Pings() = %+v, %v, want order-recovery's and customer-notification's", pings, err)
	}
	for _, ping := range pings {
		if ping.Sink != "http://"+ping.Name || ping.Timezone != "UTC" {
			t.Errorf("ping resolves to %+v", ping)
		}
	}
	resolved, err := local.Topics(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resolved {
		if topic.Partitions < 1 || topic.Retention <= 0 || topic.RetentionBytes <= 0 {
			t.Errorf("topic %s resolves to %+v", topic.Name, topic)
		}
	}
	if _, err := local.Sources(set, local.Network{}); err == nil {
		t.Error("Sources() with no functions is no error")
	}
}

// A mail that waits for evidence is refused until then. It must not become a dead
// letter for that: after the last pause of its source it is past waiting, however
// long it may be set to wait.
func TestMailsWaitLessThanTheirSource(t *testing.T) {
	t.Parallel()
	set, services := load(t), map[string]string{}
	for _, f := range functions(t) {
		services[f.Name] = "http://" + f.Name
	}
	sources, err := local.Sources(set, local.Network{Services: services})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(sources, func(s kafkasource.Source) bool { return s.Name == "customer-notification" })
	delivery := sources[i].Delivery
	if delivery.BackoffPolicy != kafkasource.Exponential || delivery.Retry < 2 {
		t.Fatalf("the source delivers with %+v, want growing pauses", delivery)
	}
	last := *delivery.BackoffDelay << delivery.Retry
	f := notification.New()
	if err := f.Start(t.Context(), map[string]string{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "SENDGRID_API_KEY": "key", "MAIL_FROM": "orders@shop.example",
		"SHOP_URL": "http://shop.example", "ORDER_TOKEN_KEY": strings.Repeat("k", 32), "MAIL_EVIDENCE_WAIT": last.String(),
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Stop(t.Context()) })
	if _, err := f.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "MAIL_EVIDENCE_WAIT") {
		t.Errorf("a mail may wait for %s, the last pause of its source: %v", last, err)
	}
}

// A duration that would be another one in the cluster is refused, and so is one
// that says nothing.
func TestDurations(t *testing.T) {
	t.Parallel()
	network := local.Network{Services: map[string]string{"one": "http://one"}}
	for text, fine := range map[string]bool{
		"PT0.2S": true, "PT10S": true, "PT1M0.3S": true, "PT0.30S": true, "PT3276S": true, "PT1H": true,
		"PT0.25S": false, "PT0.05S": false, "PT0S": false, "P0D": false, "PT1.15S": false, "1s": false, "PT3277S": false, "PT3600S": false,
	} {
		for field, delivery := range map[string]manifest.Delivery{"backoffDelay": {BackoffDelay: text}, "timeout": {Timeout: text}} {
			var source manifest.KafkaSource
			source.Metadata.Name, source.Spec.Delivery = "reader", &delivery
			source.Metadata.Labels = map[string]string{manifest.KeyTypeLabel: "int"}
			source.Spec.Sink.Ref = manifest.Reference{
				TypeMeta: manifest.TypeMeta{APIVersion: "serving.knative.dev/v1", Kind: "Service"}, Name: "one",
			}
			made, err := local.Sources(&manifest.Set{KafkaSources: []manifest.KafkaSource{source}}, network)
			if (err == nil) != fine || (err != nil && !strings.Contains(err.Error(), field)) {
				t.Errorf("Sources() with %s %s = %v", field, text, err)
			}
			if fine && made[0].KeyType != "int" {
				t.Errorf("the key type is %q, want int", made[0].KeyType)
			}
		}
	}
}
