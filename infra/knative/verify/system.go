package verify

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"

	"github.com/orderflow-project/orderflow/events"
)

// System is all that says what is deployed.
type System struct {
	// Deployments are what kubectl apply -k is for: base and the overlays.
	Deployments []*Manifests
	// Migrations are applied on their own.
	Migrations []*Manifests
	Functions  []Function
	// Templates are the secrets' keys by the secrets' names.
	Templates map[string][]string
	// Kafka are the templates of the secret with which a deployment logs in to Kafka,
	// by the deployment's name.
	Kafka map[string][]*corev1.Secret
	// Broken says which overlays can't be built, and why. What is wrong in base can
	// break an overlay, and is to be found nevertheless.
	Broken []string
}

// The deployments that differ from the others.
const (
	base       = "base"
	dev        = "overlays/dev"
	production = "overlays/production"
	aws        = "overlays/aws"
)

// Load reads the project in a folder.
func Load(root string) (*System, error) {
	knative := filepath.Join(root, "infra", "knative")
	s := &System{Templates: map[string][]string{}, Kafka: map[string][]*corev1.Secret{}}
	for _, name := range []string{base, dev, production, aws} {
		built, err := Build(filepath.Join(knative, name), name)
		switch {
		case err == nil:
			s.Deployments = append(s.Deployments, built)
		case name == base:
			return nil, err
		default:
			s.Broken = append(s.Broken, err.Error())
		}
	}
	for _, name := range []string{"migrate", dev + "/migrate", aws + "/migrate"} {
		built, err := Build(filepath.Join(knative, name), name)
		if err != nil {
			return nil, err
		}
		s.Migrations = append(s.Migrations, built)
	}
	var err error
	if s.Functions, err = Functions(filepath.Join(root, "functions")); err != nil {
		return nil, err
	}
	return s, s.templates(knative)
}

// templates reads what is in the templates of secrets. That of AWS is production's
// with fewer keys, and no secret more.
func (s *System) templates(knative string) error {
	for _, name := range []string{base, production, aws} {
		secrets, err := templates(knative, name)
		if err != nil {
			return err
		}
		if name != base {
			s.Kafka[name] = secrets
		}
		for _, secret := range secrets {
			if name != aws {
				s.Templates[secret.Name] = slices.Sorted(maps.Keys(secret.StringData))
			}
		}
	}
	return nil
}

// templates reads the secrets.yaml of a folder.
func templates(knative, name string) ([]*corev1.Secret, error) {
	content, err := os.ReadFile(filepath.Join(knative, name, "secrets.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	read := &Manifests{Name: filepath.Base(name) + "/secrets.yaml", Counts: map[string]int{}}
	for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
		if err := read.add(document); err != nil {
			return nil, err
		}
	}
	for _, secret := range read.Secrets {
		for key, value := range secret.StringData {
			if value != "" || len(secret.Data) > 0 {
				return nil, fmt.Errorf("%s: secret %s has a value for %s: it is a template, and goes into the repository", read.Name, secret.Name, key)
			}
		}
	}
	return read.Secrets, nil
}

// problems are sentences about what is wrong.
type problems []string

func (p *problems) addf(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// Check says what is wrong with the project in a folder: nothing, if it returns
// nothing.
func Check(root string) []string {
	s, err := Load(root)
	if err != nil {
		return []string{err.Error()}
	}
	return s.Check()
}

// Check says what is wrong with the system.
func (s *System) Check() []string {
	found := problems(slices.Clone(s.Broken))
	for _, rule := range []func(*System, *problems){functionsAreWhatFuncExpects, functionsAreDeployable, functionsAreBounded} {
		rule(s, &found)
	}
	for _, m := range s.Deployments {
		at := problems{}
		if m.Name == aws {
			m = s.withTopics(m, &at)
		}
		for _, rule := range rules() {
			rule(s, m, &at)
		}
		for _, problem := range at {
			found.addf("%s: %s", m.Name, problem)
		}
	}
	for _, m := range s.Migrations {
		migrationRuns(s, m, &found)
	}
	kafkaIsGuarded(s, &found)
	slices.Sort(found)
	return slices.Compact(found)
}

// rules are those for what kubectl apply -k applies.
func rules() []func(*System, *Manifests, *problems) {
	return []func(*System, *Manifests, *problems){
		knativeAcceptsThem, everythingIsInItsNamespace, nothingIsSecret,
		everyEventHasItsTopic, topicsKeepWhatTheyAreGiven, everyEventHasItsSink,
		everyReaderHasItsSource, everySourceSaysHowItReads, everySourceSaysHowItDelivers, sourcesScaleWithinTheirTopics,
		everySenderIsBound, everyPingArrives, everybodyMeansTheSameKafka,
		everyReferenceLeadsSomewhere, limitsKnowTheirClients, everyFunctionHasItsAccount,
		nothingIsOpen, everybodyGetsThrough, budgetsAreForWhatStands, awsKnowsEverybody, awsHasTheSecrets,
	}
}

// knativeObject is what Knative's webhook does with an object.
type knativeObject interface {
	apis.Defaultable
	apis.Validatable
	runtime.Object
}

// knativeAcceptsThem runs Knative's defaults and validation, as its webhooks do.
func knativeAcceptsThem(_ *System, m *Manifests, found *problems) {
	ctx := apis.WithinCreate(context.Background())
	for i := range m.Objects {
		object, is := m.Objects[i].(knativeObject)
		if !is {
			continue
		}
		// A copy, since what is stated is looked at as well.
		admitted, _ := object.DeepCopyObject().(knativeObject)
		admitted.SetDefaults(ctx)
		if err := admitted.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
			kind := object.GetObjectKind().GroupVersionKind().Kind
			found.addf("%s %s: Knative's webhook would refuse it: %v", kind, m.Objects[i].GetName(), err)
		}
	}
	ctx = feature.ToContext(ctx, feature.FromContextOrDefaults(ctx))
	for _, source := range m.Sources {
		// KafkaSource's own validation leaves this out: a wrong value is accepted, and
		// the source never gets ready.
		if err := source.Spec.Delivery.Validate(ctx); err != nil {
			found.addf("KafkaSource %s: delivery: %v", source.Name, err)
		}
	}
}

// topics are the catalogue's, and the dead letters'.
func topics() []string {
	names := []string{events.TopicDeadLetters}
	for _, entry := range events.Catalog() {
		names = append(names, entry.Name)
	}
	return slices.Sorted(slices.Values(names))
}

// deadLetters is the function that reads what no other would take.
const deadLetters = "dead-letter-intake"

// readers are the topics of each function that reads.
func readers() map[string][]string {
	reads := map[string][]string{deadLetters: {events.TopicDeadLetters}}
	for _, entry := range events.Catalog() {
		for _, reader := range entry.ReadBy {
			reads[reader] = append(reads[reader], entry.Name)
		}
	}
	return reads
}

// senders are the topics of each function that sends. Two aren't in the catalogue,
// as they send again what somebody else has sent.
func senders() map[string][]string {
	sends := map[string][]string{"order-recovery": topics(), "backoffice": topics()}
	for _, entry := range events.Catalog() {
		for _, sender := range entry.SentBy {
			sends[sender] = append(sends[sender], entry.Name)
		}
	}
	return sends
}
