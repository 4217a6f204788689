package verify

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The label that Serving puts on every pod of a Knative Service, by its name.
const serviceLabel = "serving.knative.dev/service"

// pinned tells whether an image's name says which one is meant.
func pinned(image string) bool {
	_, tag, has := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return has && tag != "latest"
}

func matches(selector *metav1.LabelSelector, pod map[string]string) bool {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(labels.Set(pod))
}

// nothingIsOpen: what no policy allows is denied, and what is allowed comes from
// Knative and the ingress's gateway only.
func nothingIsOpen(s *System, m *Manifests, found *problems) {
	if !slices.ContainsFunc(m.Policies, deniesEverything) {
		found.addf("no NetworkPolicy denies what the others don't allow: want one for all pods, of Ingress and Egress, without rules")
	}
	gateways := []string{"knative-serving", "kourier-system"}
	for _, f := range s.Functions {
		pod := map[string]string{serviceLabel: f.Name}
		for _, policy := range m.Policies {
			if !matches(&policy.Spec.PodSelector, pod) {
				continue
			}
			for _, rule := range policy.Spec.Ingress {
				if from := origins(rule); len(from) == 0 || len(missing(from, gateways)) > 0 {
					found.addf("NetworkPolicy %s lets more than Knative and the gateway reach %s: %v", policy.Name, f.Name, from)
				}
			}
		}
	}
}

func deniesEverything(policy *networkingv1.NetworkPolicy) bool {
	spec := policy.Spec
	return len(spec.PodSelector.MatchLabels)+len(spec.PodSelector.MatchExpressions) == 0 && len(spec.PolicyTypes) == 2 &&
		len(spec.Ingress)+len(spec.Egress) == 0
}

// origins are the namespaces that a rule lets in; "anywhere" for what is none.
func origins(rule networkingv1.NetworkPolicyIngressRule) []string {
	var names []string
	for _, peer := range rule.From {
		name := "anywhere"
		if peer.NamespaceSelector != nil {
			if only := peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName]; only != "" {
				name = only
			}
		}
		names = append(names, name)
	}
	return names
}

// The ports that functions have to do with.
const (
	names         = 53
	https         = 443
	spans         = 4318
	database      = 5432
	requests      = 8012 // of queue-proxy
	requestsHTTP2 = 8013
	requestsTLS   = 8112
	figures       = 9090
	sinkHTTP      = 8080
	sinkHTTPS     = 8443
)

// everybodyGetsThrough compares what the policies allow each function with what it
// has to do: less and it doesn't work, more and it need not be allowed.
func everybodyGetsThrough(s *System, m *Manifests, found *problems) {
	for _, f := range s.Functions {
		pod := map[string]string{serviceLabel: f.Name}
		in, out := m.ports(pod)
		compare(fmt.Sprintf("%s may be called on", f.Name), []int{requests, requestsHTTP2, requestsTLS, figures}, in, found)
		compare(fmt.Sprintf("%s may call", f.Name), f.calls(m.Name), out, found)
	}
	in, out := m.ports(map[string]string{"batch.kubernetes.io/job-name": "migrate"})
	compare("the migration may be called on", nil, in, found)
	want := []int{names, database}
	if m.Name == aws {
		want = append(want, https)
	}
	compare("the migration may call", want, out, found)
}

func compare(what string, want, got []int, found *problems) {
	slices.Sort(want)
	if !slices.Equal(want, got) {
		found.addf("%s the ports %v by the NetworkPolicies, and must be: %v", what, got, want)
	}
}

// calls are the ports that the function's work needs.
func (f Function) calls(deployment string) []int {
	ports := []int{names, database, spans}
	if _, sends := senders()[f.Name]; sends {
		ports = append(ports, sinkHTTP, sinkHTTPS)
	}
	provided := f.reads("PAYMENT_PROVIDER_URL", "SENDGRID_HOST", "AWS_ENDPOINT_URL_S3")
	// STS and Secrets Manager, on AWS.
	if provided || deployment == aws || f.reads("BACKOFFICE_OIDC_ISSUER") {
		ports = append(ports, https)
	}
	if provided && deployment == dev {
		ports = append(ports, 8070, 8025, 9000)
	}
	return ports
}

// ports are those on which a pod may be called, and may call.
func (m *Manifests) ports(pod map[string]string) (in, out []int) {
	for _, policy := range m.Policies {
		if !matches(&policy.Spec.PodSelector, pod) {
			continue
		}
		for _, rule := range policy.Spec.Ingress {
			in = append(in, numbers(rule.Ports)...)
		}
		for _, rule := range policy.Spec.Egress {
			out = append(out, numbers(rule.Ports)...)
		}
	}
	slices.Sort(in)
	slices.Sort(out)
	return slices.Compact(in), slices.Compact(out)
}

// numbers are the ports of a rule; 0 stands for all of them, which a rule without
// ports allows.
func numbers(ports []networkingv1.NetworkPolicyPort) []int {
	if len(ports) == 0 {
		return []int{0}
	}
	all := make([]int, 0, len(ports))
	for _, port := range ports {
		if port.Port == nil || port.EndPort != nil {
			all = append(all, 0)
			continue
		}
		all = append(all, port.Port.IntValue())
	}
	return all
}

// budgetsAreForWhatStands: a budget for pods that come and go with the load would
// keep nodes from being drained, and so would one that a single pod can't spare.
func budgetsAreForWhatStands(s *System, m *Manifests, found *problems) {
	for _, budget := range m.Budgets {
		if budget.Spec.MinAvailable != nil || budget.Spec.MaxUnavailable == nil {
			found.addf("PodDisruptionBudget %s: want maxUnavailable: with minAvailable, a single pod lets no node be drained", budget.Name)
		}
		var selected []Function
		for _, f := range s.Functions {
			if matches(budget.Spec.Selector, map[string]string{serviceLabel: f.Name}) {
				selected = append(selected, f)
			}
		}
		if named(selected) != waitedFor {
			found.addf("PodDisruptionBudget %s is for %q, want %s alone: nothing else has pods that must stand", budget.Name, named(selected), waitedFor)
		}
	}
}
