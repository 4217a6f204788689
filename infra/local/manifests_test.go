package local_test

import (
	"testing"

	"github.com/orderflow-project/orderflow/infra/local"
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
	if err != nil || len(pings) != 1 || pings[0].Sink != "http://order-recovery" {
		t.Errorf("Pings() = %+v, %v", pings, err)
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
