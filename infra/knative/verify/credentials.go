package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/IBM/sarama"
	corev1 "k8s.io/api/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	kafkasinks "knative.dev/eventing-kafka-broker/control-plane/pkg/apis/eventing/v1alpha1"
	"knative.dev/eventing-kafka-broker/control-plane/pkg/security"
)

// tlsPorts are where Kafka listens with TLS and a user, by deployment: Strimzi's
// listener, and MSK's for SASL/SCRAM.
func tlsPorts() map[string]string {
	return map[string]string{production: "9093", aws: "9096"}
}

// kafkaIsGuarded fills a deployment's template of a secret with values and has
// Knative's own code make of it how to log in: a key of another name, or one that
// is missing, is found as the cluster would find it.
func kafkaIsGuarded(s *System, found *problems) {
	for _, m := range s.Deployments {
		port, guarded := tlsPorts()[m.Name]
		if !guarded {
			continue
		}
		secrets, err := filled(s.Kafka[m.Name])
		if err != nil {
			found.addf("%s: %v", m.Name, err)
			continue
		}
		// MSK's certificates are of an authority that every system trusts.
		public := m.Name == aws
		for _, sink := range m.Sinks {
			secret, err := secrets.forSink(sink)
			if err := logsIn(secret, err, public); err != nil {
				found.addf("%s: KafkaSink %s: %v", m.Name, sink.Name, err)
			}
		}
		for _, source := range m.Sources {
			context, err := security.ResolveAuthContextFromNetSpec(secrets.lister, source.Namespace, source.Spec.Net)
			if err == nil {
				err = logsIn(context.VirtualSecret, nil, public)
			}
			if err != nil {
				found.addf("%s: KafkaSource %s: %v", m.Name, source.Name, err)
			}
			listensTo(port, m, source.Name, source.Spec.BootstrapServers, found)
		}
	}
}

// listensTo wants the listener with TLS: 9092 is the one without.
func listensTo(port string, m *Manifests, name string, servers []string, found *problems) {
	if slices.ContainsFunc(servers, func(server string) bool { return !strings.HasSuffix(server, ":"+port) }) {
		found.addf("%s: KafkaSource %s has the bootstrapServers %v, want port %s, which is TLS", m.Name, name, servers, port)
	}
}

// logsIn tells whether a secret makes a connection with TLS and a user; public is
// with the authorities that every system trusts.
func logsIn(secret *corev1.Secret, err error, public bool) error {
	if err != nil {
		return err
	}
	option, err := security.NewSaramaSecurityOptionFromSecret(secret)
	if err != nil {
		return fmt.Errorf("its secret isn't understood: %w", err)
	}
	config := sarama.NewConfig()
	if err := option(config); err != nil {
		return fmt.Errorf("its secret isn't understood: %w", err)
	}
	if tls := config.Net.TLS; !tls.Enable || tls.Config == nil || tls.Config.InsecureSkipVerify || (tls.Config.RootCAs == nil) != public {
		return fmt.Errorf("it talks to Kafka without TLS, or trusts no authority for it")
	}
	if config.Net.SASL.Mechanism != sarama.SASLTypeSCRAMSHA512 || config.Net.SASL.User == "" || config.Net.SASL.Password == "" {
		return fmt.Errorf("it doesn't log in to Kafka by SCRAM-SHA-512")
	}
	return nil
}

// vault has the secrets as a cluster would.
type vault struct{ lister corelisters.SecretLister }

// filled gives each key of the templates a value.
func filled(templates []*corev1.Secret) (vault, error) {
	authority, err := selfSigned()
	if err != nil {
		return vault{}, err
	}
	values := map[string]string{
		"protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "user": "orderflow", "password": "any", "ca.crt": authority,
	}
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, template := range templates {
		secret := &corev1.Secret{ObjectMeta: template.ObjectMeta, Data: map[string][]byte{}}
		for key := range template.StringData {
			value, known := values[key]
			if !known {
				return vault{}, fmt.Errorf("secret %s has the key %s, which nobody reads", template.Name, key)
			}
			secret.Data[key] = []byte(value)
		}
		if err := index.Add(secret); err != nil {
			return vault{}, fmt.Errorf("keep secret: %w", err)
		}
	}
	return vault{corelisters.NewSecretLister(index)}, nil
}

func (v vault) forSink(sink *kafkasinks.KafkaSink) (*corev1.Secret, error) {
	if !sink.Spec.Auth.HasAuth() {
		return nil, fmt.Errorf("it has no auth: it would talk to Kafka without TLS")
	}
	secret, err := v.lister.Secrets(sink.Namespace).Get(sink.Spec.Auth.Secret.Ref.Name)
	if err != nil {
		return nil, fmt.Errorf("find its secret: %w", err)
	}
	// The control plane guesses it, from the other keys; the data plane doesn't.
	if len(secret.Data[security.ProtocolKey]) == 0 {
		return nil, fmt.Errorf("its secret %s has no key %s: the data plane wouldn't send anything", secret.Name, security.ProtocolKey)
	}
	return secret, nil
}

// selfSigned is the certificate of an authority that nobody knows.
func selfSigned() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("make certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})), nil
}
