package verify_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/knative/verify"
)

// mistake is what somebody could do to a file, and what they must then read.
type mistake struct {
	file, before, after, want string
}

func mistakes() map[string]mistake {
	const (
		base       = "infra/knative/base/"
		production = "infra/knative/overlays/production/"
		aws        = "infra/knative/overlays/aws/"
		sources    = base + "kafka-sources.yaml"
		placed     = "  topics:\n    - order-placed\n  consumerGroup: orderflow.payment-verification\n"
		bounded    = "    retry: 10\n    backoffPolicy: exponential\n"
		letters    = "\n    deadLetterSink:\n      ref:\n        apiVersion: eventing.knative.dev/v1alpha1\n        kind: KafkaSink\n        name: order-dead-letter"
	)
	return map[string]mistake{
		"a topic without a sink": {
			base + "kafka-sinks.yaml", "name: order-shipped\n  namespace: orderflow\nspec:\n  topic: order-shipped", "name: order-sent\n  namespace: orderflow\nspec:\n  topic: order-sent",
			"base: topic order-shipped has no KafkaSink: nobody could send to it",
		},
		"an event without a topic": {
			base + "kafka-topics.yaml", "name: order-cancelled\n  namespace: kafka", "name: order-canceled\n  namespace: kafka",
			"base: KafkaTopic order-canceled is for the topic order-cancelled: want one name",
		},
		"a stage without its dead letter sink": {
			sources, letters, "",
			"base: KafkaSource payment-verification has no dead letter sink: an event that fails would be lost",
		},
		"dead letters that go in a circle": {
			sources, "    backoffDelay: PT10S\n    timeout: PT60S", "    backoffDelay: PT10S\n    timeout: PT60S" + letters,
			"base: KafkaSource dead-letter-intake sends what fails to itself: one bad event would turn for ever",
		},
		"a field of delivery that is left out": {
			sources, bounded, "    backoffPolicy: exponential\n",
			"base: KafkaSource payment-verification: delivery.retry isn't stated: it would be none, not the default",
		},
		"a field of delivery that doesn't exist": {
			sources, bounded, "    retries: 10\n    backoffPolicy: exponential\n",
			`base: KafkaSource payment-verification: unknown field "spec.delivery.retries"`,
		},
		"a field in the wrong case": {
			sources, bounded, "    Retry: 10\n    backoffPolicy: exponential\n",
			`base: KafkaSource payment-verification: unknown field "spec.delivery.Retry"`,
		},
		"a delay that isn't one": {
			sources, "backoffDelay: PT0.2S", "backoffDelay: 200ms",
			"base: KafkaSource payment-verification: delivery: invalid value: 200ms: backoffDelay",
		},
		"an ordering that isn't one": {
			sources, "ordering: unordered", "ordering: random",
			"base: KafkaSource payment-verification: Knative's webhook would refuse it: invalid value: random: spec.ordering",
		},
		"a source that forgets what was before it": {
			sources, "initialOffset: earliest", "initialOffset: latest",
			"base: KafkaSource payment-verification: initialOffset must be earliest: an order placed before the source was there would be forgotten",
		},
		"a stage that reads nothing": {
			sources, placed, strings.Replace(placed, "order-placed", "payment-verified", 1),
			"base: payment-verification must read order-placed, but no KafkaSource has it do so",
		},
		"a consumer group of another": {
			sources, "consumerGroup: orderflow.inventory-update", "consumerGroup: orderflow.payment-verification",
			`base: KafkaSource inventory-update: consumerGroup is "orderflow.payment-verification", want orderflow.inventory-update: with another, everything is read again`,
		},
		"more consumers than partitions": {
			sources, "consumers: 1\n", "consumers: 4\n",
			"base: KafkaSource dead-letter-intake may have 4 consumers, but order-dead-letter has 3 partitions: the others would have nothing to read",
		},
		"a sink that writes to another Kafka": {
			base + "kafka-sinks.yaml", "orderflow-kafka-bootstrap.kafka.svc:9092", "other-kafka-bootstrap.kafka.svc:9092",
			"base: KafkaSink payment-verified has the bootstrapServers orderflow-kafka-bootstrap.kafka.svc:9092, and others other-kafka-bootstrap.kafka.svc:9092: there is one Kafka",
		},
		"a sender that isn't bound": {
			base + "sink-bindings.yaml", "function.knative.dev/name: storefront", "function.knative.dev/name: store",
			"base: SinkBinding storefront must select the function of its name, by its label function.knative.dev/name: by name it stops half way while the function is missing",
		},
		"a topic that goes with its sink": {
			base + "kafka-sinks.yaml", "  contentMode: binary\n", "  contentMode: binary\n  numPartitions: 3\n  replicationFactor: 3\n",
			"base: KafkaSink order-placed states numPartitions or replicationFactor: its topic would be deleted together with it",
		},
		"a ping every never": {
			base + "ping-source.yaml", `"* * * * *"`, `"every minute"`,
			"base: PingSource order-recovery: Knative's webhook would refuse it: invalid value: expected 5 to 6 fields, found 2: [every minute]: spec.schedule",
		},
		"a ping for nobody": {
			base + "ping-source.yaml", "      name: order-recovery", "      name: order-rescue",
			"base: PingSource order-recovery: want it to call the function of its name",
		},
		"a topic that no operator looks at": {
			base + "kafka-topics.yaml", "    strimzi.io/cluster: orderflow\n", "    strimzi.io/name: orderflow\n",
			"base: KafkaTopic order-placed must be where Kafka is, with the label strimzi.io/cluster: no operator would look at it",
		},
		"a sink in another namespace": {
			base + "kafka-sinks.yaml", "  namespace: orderflow\n", "  namespace: kafka\n",
			`base: order-placed is in namespace "kafka", want orderflow`,
		},
		"a topic that one broker's loss closes": {
			base + "kafka-topics.yaml", `min.insync.replicas: "2"`, `min.insync.replicas: "3"`,
			"base: KafkaTopic order-placed: 3 of 3 replicas must have a record: then the loss of one broker refuses events",
		},
		"a secret with a value": {
			base + "secrets.yaml", `SENDGRID_API_KEY: ""`, `SENDGRID_API_KEY: "any"`,
			"base/secrets.yaml: secret orderflow-sendgrid has a value for SENDGRID_API_KEY: it is a template, and goes into the repository",
		},
		"templates that are applied": {
			base + "kustomization.yaml", "  - config-map.yaml\n", "  - config-map.yaml\n  - secrets.yaml\n",
			"base: Secret orderflow-s3 would be applied: it would overwrite the real one with a template",
		},
		"a kind that nobody checks": {
			base + "namespace.yaml", "kind: Namespace\nmetadata:\n  name: orderflow\n", "kind: Namespace\nmetadata:\n  name: orderflow\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: orderflow\n",
			"base: v1 Service orderflow is of a kind that nothing here can check: add it to kinds",
		},
		"an open door": {
			base + "network-policies.yaml", "    - from:\n        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: knative-serving\n        - namespaceSelector", "    - from:\n        - namespaceSelector: {}\n        - namespaceSelector",
			"base: NetworkPolicy requests-from-knative lets more than Knative and the gateway reach backoffice: [anywhere kourier-system]",
		},
		"a sender that can't reach the sinks": {
			base + "network-policies.yaml", "          - inventory-update\n          - order-recovery\n", "          - inventory-update\n",
			"base: order-recovery may call the ports [53 4318 5432] by the NetworkPolicies, and must be: [53 4318 5432 8080 8443]",
		},
		"nothing that denies": {
			base + "network-policies.yaml", "  policyTypes:\n    - Ingress\n    - Egress\n", "  policyTypes:\n    - Ingress\n",
			"base: no NetworkPolicy denies what the others don't allow: want one for all pods, of Ingress and Egress, without rules",
		},
		"an account that doesn't exist": {
			base + "service-accounts.yaml", "name: backoffice", "name: back-office",
			`base: backoffice runs as the ServiceAccount "backoffice", which does not exist: func deploy would fail`,
		},
		"a stage that anybody may call": {
			"functions/inventory-update/func.yaml", "value: cluster-local", "value: public",
			"inventory-update: reachable from outside of the cluster = true, want false: see the label networking.knative.dev/visibility",
		},
		"a setting that comes from nowhere": {
			"functions/storefront/func.yaml", "configMap:orderflow:SHOP_URL", "configMap:orderflow:SHOP_ADDRESS",
			"base: functions/storefront/func.yaml: SHOP_URL refers to key SHOP_ADDRESS of configMap orderflow, which does not exist: the pod wouldn't start",
		},
		"a limit that all customers share": {
			production + "config-map.yaml", `RATE_LIMIT: "0"`, `RATE_LIMIT: "60"`,
			"overlays/production: ConfigMap orderflow has a RATE_LIMIT and no TRUSTED_PROXIES: all customers would share one limit",
		},
		"a pod that waits for nobody": {
			"functions/order-analytics/func.yaml", "min: 0", "min: 1",
			"order-analytics: scale.min is 1: only what a person waits for is kept running, which is storefront",
		},
		"more requests at once than Serving lets through": {
			"functions/storefront/func.yaml", "concurrency: 1000", "concurrency: 5000",
			"functions/storefront/func.yaml: Knative's webhook would refuse the Service: expected 0 <= 5000 <= 1000: spec.template.spec.containerConcurrency",
		},
		"a key of Kafka's secret that Knative doesn't know": {
			production + "kafka-sources.yaml", "key: sasl.mechanism", "key: mechanism",
			"overlays/production: KafkaSource customer-notification: missing secret key or empty secret value (orderflow/orderflow-kafka.mechanism)",
		},
		"a sink without TLS": {
			production + "kafka-sinks.yaml", "  auth:\n    secret:\n      ref:\n        name: orderflow-kafka\n", "",
			"overlays/production: KafkaSink inventory-updated: it has no auth: it would talk to Kafka without TLS",
		},
		"a secret of which a key is missing": {
			production + "secrets.yaml", "  protocol: \"\"\n", "",
			"overlays/production: KafkaSink inventory-updated: its secret orderflow-kafka has no key protocol: the data plane wouldn't send anything",
		},
		"production without TLS": {
			production + "kafka-sources.yaml", "    tls:\n      enable: true\n", "    tls:\n      enable: false\n",
			"overlays/production: KafkaSource customer-notification: it talks to Kafka without TLS, or trusts no authority for it",
		},
		"an annotation that does nothing": {
			production + "kafka-sources.yaml", "knative.dev/lag-threshold", "knative.dev/activation-lag-threshold",
			"overlays/production: KafkaSource customer-notification: the annotation autoscaling.eventing.knative.dev/activation-lag-threshold does nothing",
		},
		"an autoscaler that there isn't": {
			production + "kafka-sources.yaml", "class: keda.autoscaling.knative.dev", "class: kpa.autoscaling.knative.dev",
			`overlays/production: KafkaSource customer-notification: the annotation autoscaling.eventing.knative.dev/class is "kpa.autoscaling.knative.dev", want keda.autoscaling.knative.dev, or the others do nothing`,
		},
		"a budget that lets no node be drained": {
			production + "pod-disruption-budgets.yaml", "maxUnavailable: 1", "minAvailable: 1",
			"overlays/production: PodDisruptionBudget storefront: want maxUnavailable: with minAvailable, a single pod lets no node be drained",
		},
		"a key of Kafka's secret that only AWS has": {
			aws + "secrets.yaml", "  user: \"\"\n", "  username: \"\"\n",
			"overlays/aws: secrets.yaml: secret orderflow-kafka has the key username, which production's doesn't have",
		},
		"a secret in what is applied": {
			aws + "references.yaml", "secretsmanager:orderflow/sendgrid#SENDGRID_API_KEY", "SG.any",
			"overlays/aws: Secret orderflow-sendgrid has for SENDGRID_API_KEY what is neither a reference to Secrets Manager nor, of orderflow-s3, empty: it would be in the repository",
		},
		"a secret that is nowhere": {
			aws + "references.yaml", "  BACKOFFICE_TOKEN: secretsmanager:orderflow/backoffice#BACKOFFICE_TOKEN\n", "  TOKEN: secretsmanager:orderflow/backoffice#BACKOFFICE_TOKEN\n",
			"overlays/aws: no Secret says where BACKOFFICE_TOKEN of orderflow-backoffice is: the pods that need it wouldn't start",
		},
		"a role of another": {
			aws + "service-accounts.yaml", "role/orderflow-storefront", "role/orderflow-shipment-preparation",
			`overlays/aws: ServiceAccount storefront has the role "arn:aws:iam::111122223333:role/orderflow-shipment-preparation", want its own, orderflow-storefront: what one may do, others may not`,
		},
		"MSK without TLS": {
			aws + "kafka-sources.yaml", "amazonaws.com:9096\n", "amazonaws.com:9092\n",
			"overlays/aws: KafkaSource order-analytics has the bootstrapServers [b-1.orderflow.abcdef.c2.kafka.eu-central-1.amazonaws.com:9092 b-2.orderflow.abcdef.c2.kafka.eu-central-1.amazonaws.com:9096 b-3.orderflow.abcdef.c2.kafka.eu-central-1.amazonaws.com:9096], want port 9096, which is TLS",
		},
		"an authority that its secret doesn't have": {
			aws + "kafka-sources.yaml", "    tls:\n      caCert: null\n", "    tls:\n      enable: true\n",
			"overlays/aws: KafkaSource customer-notification: missing secret key or empty secret value (orderflow/orderflow-kafka.ca.crt)",
		},
		"functions that don't get to STS": {
			aws + "network-policies.yaml", "port: 443", "port: 8443",
			"overlays/aws: the migration may call the ports [53 5432 8443] by the NetworkPolicies, and must be: [53 443 5432]",
		},
		"topics for an operator that isn't there": {
			aws + "kustomization.yaml", "components:\n  - ../../components/without-strimzi\n", "",
			"overlays/aws: there are KafkaTopics, which nobody on AWS knows: kubectl apply would fail",
		},
		"a migration without IAM": {
			aws + "migrate/kustomization.yaml", "key: DATABASE_IAM_REGION", "key: DATABASE_IAM",
			"overlays/aws/migrate: DATABASE_IAM_REGION must come from a secret that has a template, or from the ConfigMap",
		},
		"a migration of no version": {
			"infra/knative/migrate/kustomization.yaml", "newTag: v0", "newTag: latest",
			"migrate: the image is registry.example.com/orderflow/migrate:latest, want one of a registry and with a tag",
		},
	}
}

func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	for name, m := range mistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := project(t)
			change(t, filepath.Join(dir, m.file), m.before, m.after)
			if found := verify.Check(dir); !slices.Contains(found, m.want) {
				t.Errorf("found\n\t%s\nwant among it\n\t%s", strings.Join(found, "\n\t"), m.want)
			}
		})
	}
}

// project copies what is looked at.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, pattern := range []string{"functions/*/func.yaml", "infra/knative/*/*.yaml", "infra/knative/*/*/*.yaml", "infra/knative/*/*/*/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			below, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, below), read(t, path))
		}
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change replaces the first of it in a file, where it must be.
func change(t *testing.T, path, before, after string) {
	t.Helper()
	content := read(t, path)
	if !strings.Contains(content, before) {
		t.Fatalf("%s doesn't have %q", path, before)
	}
	write(t, path, strings.Replace(content, before, after, 1))
}
