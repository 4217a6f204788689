package verify

import (
	"bytes"
	"context"
	"fmt"
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
	// Production are the templates that only production has.
	Production []*corev1.Secret
}

// Load reads the project in a folder.
func Load(root string) (*System, error) {
	knative := filepath.Join(root, "infra", "knative")
	s := &System{Templates: map[string][]string{}}
	for _, name := range []string{"base", "overlays/dev", "overlays/production"} {
		built, err := Build(filepath.Join(knative, name), name)
		if err != nil {
			return nil, err
		}
		s.Deployments = append(s.Deployments, built)
	}
	for _, name := range []string{"migrate", "overlays/dev/migrate"} {
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
	if _, err := s.templates(filepath.Join(knative, "base")); err != nil {
		return nil, err
	}
	s.Production, err = s.templates(filepath.Join(knative, "overlays", "production"))
	return s, err
}

// templates reads the secrets.yaml of a folder.
func (s *System) templates(folder string) ([]*corev1.Secret, error) {
	path := filepath.Join(folder, "secrets.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	read := &Manifests{Name: filepath.Base(folder) + "/secrets.yaml", Counts: map[string]int{}}
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
			s.Templates[secret.Name] = append(s.Templates[secret.Name], key)
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
	var found problems
	for _, rule := range []func(*System, *problems){functionsAreWhatFuncExpects, functionsAreDeployable, functionsAreBounded} {
		rule(s, &found)
	}
	for _, m := range s.Deployments {
		at := problems{}
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
		nothingIsOpen, everybodyGetsThrough, budgetsAreForWhatStands,
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
