package verify

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"
)

// namespace is where everything is, but for the topics.
const namespace = "orderflow"

// fronts are the functions that people use, and the one that providers call.
func fronts() []string { return []string{"backoffice", "provider-webhooks", "storefront"} }

// waitedFor is the function that a person waits for with every click, and the only
// one worth a pod that does nothing.
const waitedFor = "storefront"

func (s *System) has(function string) bool {
	return slices.ContainsFunc(s.Functions, func(f Function) bool { return f.Name == function })
}

func functionsAreWhatFuncExpects(s *System, found *problems) {
	const functionsThereAre = 11
	if len(s.Functions) != functionsThereAre {
		found.addf("there are %d functions (%s), want %d", len(s.Functions), named(s.Functions), functionsThereAre)
	}
	for _, f := range s.Functions {
		if f.Folder != f.Name {
			found.addf("functions/%s/func.yaml names the function %s", f.Folder, f.Name)
		}
		got := []string{f.SpecVersion, f.Runtime, f.Invoke, f.Build.Builder, f.Namespace}
		if want := []string{"0.36.0", "go", "http", "host", namespace}; !slices.Equal(got, want) {
			found.addf("functions/%s/func.yaml: specVersion, runtime, invoke, builder and namespace are %v, want %v", f.Folder, got, want)
		}
		if f.Created.IsZero() {
			found.addf("functions/%s/func.yaml has no time of creation: func takes it for not initialised", f.Folder)
		}
		if want := slices.Contains(fronts(), f.Name); f.public() != want {
			found.addf("%s: reachable from outside of the cluster = %t, want %t: see the label %s", f.Name, f.public(), want, visibility)
		}
	}
}

// functionsAreDeployable makes of each func.yaml what func deploy would, and runs
// Serving's own validation on it.
func functionsAreDeployable(s *System, found *problems) {
	ctx := apis.WithinCreate(context.Background())
	for _, f := range s.Functions {
		service, err := f.service()
		if err != nil {
			found.addf("functions/%s/func.yaml: %v", f.Folder, err)
			continue
		}
		service.SetDefaults(ctx)
		if err := service.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
			found.addf("functions/%s/func.yaml: Knative's webhook would refuse the Service: %v", f.Folder, err)
		}
	}
}

// functionsAreBounded: resources and scale stand in func.yaml, since the Knative
// Service is func's and no overlay can patch it.
func functionsAreBounded(s *System, found *problems) {
	for _, f := range s.Functions {
		options := f.Deploy.Options
		if options.Scale.Min == nil || options.Scale.Max == nil || *options.Scale.Max < 1 {
			found.addf("%s: scale.min and scale.max must be stated: without a bound, a burst opens more connections than Postgres takes", f.Name)
			continue
		}
		if want := f.Name == waitedFor; *options.Scale.Min > 0 != want {
			found.addf("%s: scale.min is %d: only what a person waits for is kept running, which is %s", f.Name, *options.Scale.Min, waitedFor)
		}
		if options.Resources.Limits.Concurrency == nil || *options.Resources.Limits.Concurrency == 0 {
			found.addf("%s: limits.concurrency must be stated: 0 is no limit at all", f.Name)
		}
	}
}

func everythingIsInItsNamespace(_ *System, m *Manifests, found *problems) {
	if len(m.Namespaces) != 1 || m.Namespaces[0].Name != namespace {
		found.addf("there must be one Namespace, %s", namespace)
	}
	topics := map[string]bool{}
	for _, topic := range m.Topics {
		topics[topic.Name] = true
		if topic.Namespace != "kafka" || topic.Labels["strimzi.io/cluster"] == "" {
			found.addf("KafkaTopic %s must be where Kafka is, with the label strimzi.io/cluster: no operator would look at it", topic.Name)
		}
	}
	for _, object := range m.Objects {
		switch object.(type) {
		case *KafkaTopic, *corev1.Namespace:
			continue
		}
		if object.GetNamespace() != namespace {
			found.addf("%s is in namespace %q, want %s", object.GetName(), object.GetNamespace(), namespace)
		}
	}
}

func nothingIsSecret(_ *System, m *Manifests, found *problems) {
	for _, secret := range m.Secrets {
		if m.Name == aws {
			continue // those hold no value but where it is: awsHasTheSecrets
		}
		found.addf("Secret %s would be applied: it would overwrite the real one with a template", secret.Name)
	}
}

func everyReferenceLeadsSomewhere(s *System, m *Manifests, found *problems) {
	for _, f := range s.Functions {
		for _, env := range f.Run.Envs {
			from, is := env.reference()
			switch {
			case !is:
				found.addf("functions/%s/func.yaml: %s is set to %s, which is not configMap:name:key or secret:name:key", f.Folder, env.Name, env.Value)
			case from.kind == "secret" && !slices.Contains(s.Templates[from.name], from.key), from.kind == "configMap" && !m.configures(from):
				found.addf("functions/%s/func.yaml: %s refers to key %s of %s %s, which does not exist: the pod wouldn't start", f.Folder, env.Name, from.key, from.kind, from.name)
			}
		}
	}
}

// limitsKnowTheirClients: on a cluster every request comes by queue-proxy, so that
// without TRUSTED_PROXIES all customers are one client. Base is for a laptop, too,
// where nothing is in between.
func limitsKnowTheirClients(_ *System, m *Manifests, found *problems) {
	for _, settings := range m.ConfigMaps {
		if m.Name != base && settings.Data["RATE_LIMIT"] != "0" && settings.Data["TRUSTED_PROXIES"] == "0" {
			found.addf("ConfigMap %s has a RATE_LIMIT and no TRUSTED_PROXIES: all customers would share one limit", settings.Name)
		}
	}
}

func (m *Manifests) configures(from reference) bool {
	return slices.ContainsFunc(m.ConfigMaps, func(c *corev1.ConfigMap) bool {
		_, has := c.Data[from.key]
		return c.Name == from.name && has
	})
}

func everyFunctionHasItsAccount(s *System, m *Manifests, found *problems) {
	accounts := map[string]bool{}
	for _, account := range m.ServiceAccounts {
		accounts[account.Name] = true
		if token := account.AutomountServiceAccountToken; token == nil || *token {
			found.addf("ServiceAccount %s gets a token for the Kubernetes API, which nothing of ours calls", account.Name)
		}
	}
	for _, f := range s.Functions {
		account := f.Deploy.ServiceAccountName
		if account != f.Name {
			found.addf("functions/%s/func.yaml: serviceAccountName is %q, want the function's own: what one may do, others may not", f.Folder, account)
		}
		if !accounts[account] {
			found.addf("%s runs as the ServiceAccount %q, which does not exist: func deploy would fail", f.Name, account)
		}
	}
}

func migrationRuns(s *System, m *Manifests, found *problems) {
	if len(m.Jobs) != 1 || len(m.Objects) != 1 {
		found.addf("%s: want one Job and nothing else", m.Name)
		return
	}
	spec := m.Jobs[0].Spec.Template.Spec
	container := spec.Containers[0]
	if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
		found.addf("%s: the Job must say what it needs and may take", m.Name)
	}
	if image := container.Image; image == "migrate" || !pinned(image) {
		found.addf("%s: the image is %s, want one of a registry and with a tag", m.Name, image)
	}
	for _, env := range container.Env {
		if !s.gives(env.ValueFrom) {
			found.addf("%s: %s must come from a secret that has a template, or from the ConfigMap", m.Name, env.Name)
		}
	}
	accounts := s.Deployments[0].ServiceAccounts
	if !slices.ContainsFunc(accounts, func(a *corev1.ServiceAccount) bool { return a.Name == spec.ServiceAccountName }) {
		found.addf("%s: the Job runs as the ServiceAccount %q, which base doesn't have", m.Name, spec.ServiceAccountName)
	}
}

// gives tells whether there is what a variable is taken from.
func (s *System) gives(from *corev1.EnvVarSource) bool {
	switch {
	case from != nil && from.SecretKeyRef != nil:
		return slices.Contains(s.Templates[from.SecretKeyRef.Name], from.SecretKeyRef.Key)
	case from != nil && from.ConfigMapKeyRef != nil:
		return s.Deployments[0].configures(reference{"configMap", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key})
	}
	return false
}
