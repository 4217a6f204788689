package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/postgres"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
)

// Tiers of the stop. First whoever starts work, then whom the work needs, last
// what keeps it.
const (
	tierStores = iota
	tierServices
	tierWork
)

// plan is the system as it is to be run: the manifests with the laptop's
// addresses in place of the cluster's.
type plan struct {
	Options
	manifests *manifest.Set
	functions []manifest.Function
	addresses Addresses
	secrets   Secrets
	values    map[string]string // the ConfigMap
	cluster   *postgres.Cluster // nil where the user has a database
}

// ManifestDir is where the cluster's manifests stand, seen from the project.
const ManifestDir = "infra/knative/base"

func newPlan(options Options) (*plan, error) {
	p := &plan{Options: options}
	var err error
	if p.manifests, err = manifest.Load(filepath.Join(p.Root, ManifestDir)); err != nil {
		return nil, err
	}
	if p.functions, err = manifest.LoadFunctions(filepath.Join(p.Root, "functions")); err != nil {
		return nil, err
	}
	var names []string
	for _, function := range p.functions {
		names = append(names, function.Name)
	}
	p.addresses = addresses(names, p.PortOffset)
	if err := p.addresses.checkOffset(p.PortOffset); err != nil {
		return nil, err
	}
	if p.freePorts {
		if err := p.addresses.free(); err != nil {
			return nil, err
		}
	}
	if p.values, err = p.configMap(); err != nil {
		return nil, err
	}
	if err := p.checkThrough(); err != nil {
		return nil, err
	}
	return p, p.checkWiring()
}

// checkWiring finds out before the start what the processes that read the same
// manifests would end for.
func (p *plan) checkWiring() error {
	network := Network{Brokers: p.brokers(), Ingress: p.addresses.URL(kafkaSink), Services: p.services()}
	_, topics := Topics(p.manifests)
	_, sources := Sources(p.manifests, network)
	_, pings := Pings(p.manifests, network)
	return errors.Join(topics, sources, pings)
}

// configMap is the cluster's with what is different on a laptop.
func (p *plan) configMap() (map[string]string, error) {
	values := map[string]string{}
	for _, configMap := range p.manifests.ConfigMaps {
		maps.Copy(values, configMap.Data)
	}
	webhookKey, err := p.secrets.webhookKey()
	if err != nil {
		return nil, err
	}
	maps.Copy(values, map[string]string{
		"SHOP_URL":             p.addresses.Shown("storefront"),
		"BACKOFFICE_URL":       p.addresses.Shown("backoffice"),
		"FUNCTION_URLS":        p.functionURLs(),
		"RATE_LIMIT":           "0",
		"PAYMENT_PROVIDER":     "sandbox",
		"PAYMENT_PROVIDER_URL": p.addresses.URL(paymentProvider),
		"SENDGRID_HOST":        p.addresses.URL(mailbox),
		"SENDGRID_WEBHOOK_KEY": webhookKey,
		"MAIL_EVIDENCE_WAIT":   "30s", // the mailbox tells within a second
		"AWS_ENDPOINT_URL_S3":  p.addresses.URL(s3Server),
		"LOG_FORMAT":           "json",
	})
	if p.S3 != nil {
		values["AWS_ENDPOINT_URL_S3"], values["AWS_REGION"] = p.S3.Endpoint, p.S3.Region
	}
	for key, value := range p.Settings {
		if _, found := values[key]; !found {
			return nil, fmt.Errorf("no setting is called %s: the ConfigMap has %s", key, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
		}
		values[key] = value
	}
	return values, nil
}

// value looks a reference of a func.yaml up. Only what the manifests declare
// exists, so that the laptop doesn't hide what the cluster would lack.
func (p *plan) value(kind, name, key string) (string, bool) {
	if kind == "configMap" {
		i := slices.IndexFunc(p.manifests.ConfigMaps, func(m manifest.ConfigMap) bool { return m.Metadata.Name == name })
		if i < 0 {
			return "", false
		}
		_, declared := p.manifests.ConfigMaps[i].Data[key]
		return p.values[key], declared
	}
	i := slices.IndexFunc(p.manifests.Secrets, func(s manifest.Secret) bool { return s.Metadata.Name == name })
	if i < 0 {
		return "", false
	}
	_, declared := p.manifests.Secrets[i].StringData[key]
	value, made := p.secrets[key]
	return value, declared && made
}

// function is the process of a function, with the environment its pod would have.
func (p *plan) function(f manifest.Function) (supervisor.Process, error) {
	p = p.seenBy(f.Name)
	process, err := p.unbound(f)
	process.Env = append(process.Env, p.binding(f)...)
	return process, err
}

// unbound is the process of a function that has no sink: its next event is its
// answer.
func (p *plan) unbound(f manifest.Function) (supervisor.Process, error) {
	environment, err := f.Environment(p.value)
	if err != nil {
		return supervisor.Process{}, err
	}
	return supervisor.Process{
		Name: f.Name, Path: filepath.Join(p.Bin, "function"), Args: []string{f.Name},
		Env: append(environment, "LISTEN_ADDRESS="+p.addresses.Host(f.Name), "TZ=UTC"), Dir: f.Dir, Tier: tierWork,
	}, nil
}

// binding is what a SinkBinding sets.
func (p *plan) binding(f manifest.Function) []string {
	var environment []string
	for _, binding := range p.manifests.SinkBindings {
		if binding.Spec.Selects(f.Name) {
			environment = append(environment, "K_SINK="+p.sinkURL(binding.Metadata.Namespace, binding.Spec.Sink), "K_CE_OVERRIDES=")
		}
	}
	return environment
}

// sinkURL is the address of a KafkaSink.
func (p *plan) sinkURL(namespace string, sink manifest.Destination) string {
	return fmt.Sprintf("%s/%s/%s", p.addresses.URL(kafkaSink), namespace, sink.Ref.Name)
}

// role is the process of a part of the platform. Its secrets come by the
// environment, since arguments can be read by everybody.
func (p *plan) role(name string, tier int, secrets []string, args ...string) supervisor.Process {
	environment := []string{"TZ=UTC"}
	if path := os.Getenv("PATH"); path != "" {
		environment = append(environment, "PATH="+path)
	}
	for _, key := range secrets {
		environment = append(environment, key+"="+p.secrets[key])
	}
	return supervisor.Process{
		Name: name, Path: filepath.Join(p.Bin, "orderflow"), Args: append([]string{name}, args...),
		Env: environment, Dir: p.State, Tier: tier,
	}
}

func (p *plan) manifestArg() string { return "--manifests=" + filepath.Join(p.Root, ManifestDir) }

func (p *plan) brokers() []string {
	if len(p.KafkaBrokers) > 0 {
		return p.KafkaBrokers
	}
	return []string{p.addresses.Host(broker)}
}

func (p *plan) brokersArg() string { return "--brokers=" + strings.Join(p.brokers(), ",") }

func (p *plan) broker() supervisor.Process {
	return p.role(broker, tierStores, nil, p.manifestArg(), fmt.Sprintf("--port=%d", p.addresses[broker]), "--dir="+p.path("kafka"))
}

func (p *plan) kafkaSink() supervisor.Process {
	args := append([]string{p.manifestArg(), p.brokersArg(), "--listen=" + p.addresses.Host(kafkaSink)}, p.detour(kafkaSink)...)
	return p.role(kafkaSink, tierServices, nil, args...)
}

func (p *plan) kafkaSource() supervisor.Process {
	p = p.seenBy(kafkaSource)
	args := append([]string{
		p.manifestArg(), p.brokersArg(), "--ingress=" + p.addresses.URL(kafkaSink), p.servicesArg(), "--instance=" + p.instance(),
	}, p.detour(kafkaSource)...)
	return p.role(kafkaSource, tierWork, nil, args...)
}

// instance names this system's dispatcher, whenever it is started: a state folder
// has one system at a time, and other systems may use the same Kafka.
func (p *plan) instance() string {
	host, _ := os.Hostname() // without it two machines would have to use one path
	sum := sha256.Sum256([]byte(host + "\x00" + p.State))
	return "orderflow-" + hex.EncodeToString(sum[:8])
}

func (p *plan) pingSource() supervisor.Process {
	p = p.seenBy(pingSource)
	return p.role(pingSource, tierWork, nil, p.manifestArg(), p.servicesArg())
}

// servicesArg tells where the functions are: what the cluster's DNS knows.
func (p *plan) servicesArg() string { return "--services=" + p.functionURLs() }

// functionURLs are the functions' addresses as NAME=URL;...
func (p *plan) functionURLs() string {
	var urls []string
	for name, url := range p.services() {
		urls = append(urls, name+"="+url)
	}
	slices.Sort(urls)
	return strings.Join(urls, ";")
}

func (p *plan) services() map[string]string {
	services := map[string]string{}
	for _, f := range p.functions {
		services[f.Name] = p.addresses.URL(f.Name)
	}
	return services
}

func (p *plan) paymentProvider() supervisor.Process {
	return p.role(paymentProvider, tierServices, []string{keyPaymentProvider},
		"--listen="+p.addresses.Host(paymentProvider), "--dir="+p.path("payment-provider"))
}

func (p *plan) mailbox() supervisor.Process {
	return p.role(mailbox, tierServices, []string{keySendGrid, keySendGridWebhook},
		"--listen="+p.addresses.Host(mailbox), "--dir="+p.path("mailbox"), "--webhook="+p.addresses.URL(providerWebhooks)+"/sendgrid")
}

func (p *plan) s3() supervisor.Process {
	return p.role(s3Server, tierServices, []string{keyS3Access, keyS3Secret},
		"--listen="+p.addresses.Host(s3Server), "--dir="+p.path("s3"), "--region="+p.values["AWS_REGION"], "--bucket="+p.values["LABEL_BUCKET"])
}
