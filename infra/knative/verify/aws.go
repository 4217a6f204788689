package verify

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// withTopics is a deployment on a Kafka without a topic operator, as if it had the
// topics: infra/knative/kafka-topics.sh makes those of base.
func (s *System) withTopics(m *Manifests, found *problems) *Manifests {
	if len(m.Topics) > 0 {
		found.addf("there are KafkaTopics, which nobody on AWS knows: kubectl apply would fail")
	}
	with := *m
	with.Topics = s.Deployments[0].Topics
	return &with
}

// awsKnowsEverybody: a function signs in to RDS, Secrets Manager and S3 by the role
// of its account, and by a role of its own.
func awsKnowsEverybody(_ *System, m *Manifests, found *problems) {
	const role = "eks.amazonaws.com/role-arn"
	for _, account := range m.ServiceAccounts {
		arn, has := account.Annotations[role]
		switch {
		case m.Name != aws && has:
			found.addf("ServiceAccount %s has a role of AWS, which only overlays/aws is for", account.Name)
		case m.Name == aws && (!strings.HasPrefix(arn, "arn:aws:iam::") || !strings.HasSuffix(arn, ":role/orderflow-"+account.Name)):
			found.addf("ServiceAccount %s has the role %q, want its own, orderflow-%s: what one may do, others may not", account.Name, arn, account.Name)
		}
	}
}

// awsHasTheSecrets: what is applied as a secret says where its values are, for every
// key of the templates but Kafka's, which Knative reads.
func awsHasTheSecrets(s *System, m *Manifests, found *problems) {
	if m.Name != aws {
		return
	}
	applied := map[string]map[string]string{}
	for _, secret := range m.Secrets {
		applied[secret.Name] = secret.StringData
		onlyRefers(secret, found)
	}
	for name, keys := range s.Templates {
		for _, key := range keys {
			if _, has := applied[name][key]; !has && name != kafkaSecret {
				found.addf("no Secret says where %s of %s is: the pods that need it wouldn't start", key, name)
			}
		}
	}
	for _, template := range s.Kafka[aws] {
		for _, key := range missing(slices.Sorted(maps.Keys(template.StringData)), s.Templates[template.Name]) {
			found.addf("secrets.yaml: secret %s has the key %s, which production's doesn't have", template.Name, key)
		}
	}
	if _, has := applied[kafkaSecret]; has {
		found.addf("Secret %s would be applied: Knative reads it, and knows no references", kafkaSecret)
	}
}

// onlyRefers: what is applied stands in the repository, and must not be secret.
func onlyRefers(secret *corev1.Secret, found *problems) {
	for _, key := range slices.Sorted(maps.Keys(secret.StringData)) {
		value := secret.StringData[key]
		// The keys to S3 are nobody's there: the role may store labels.
		if refers := strings.HasPrefix(value, "secretsmanager:"); refers == (secret.Name == "orderflow-s3") || !refers && value != "" {
			found.addf("Secret %s has for %s what is neither a reference to Secrets Manager nor, of orderflow-s3, empty: it would be in the repository", secret.Name, key)
		}
	}
	if len(secret.Data) > 0 {
		found.addf("Secret %s has data: want stringData, which can be read", secret.Name)
	}
}

// kafkaSecret is what logs in to Kafka.
const kafkaSecret = "orderflow-kafka" //nolint:gosec // a name
