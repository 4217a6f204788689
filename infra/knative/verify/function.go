package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/serving/pkg/apis/autoscaling"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

const (
	visibility   = "networking.knative.dev/visibility"
	clusterLocal = "cluster-local"
)

// Function is a func.yaml, with the fields that ours use.
type Function struct {
	SpecVersion string    `json:"specVersion"`
	Name        string    `json:"name"`
	Runtime     string    `json:"runtime"`
	Namespace   string    `json:"namespace"`
	Created     time.Time `json:"created"`
	Invoke      string    `json:"invoke"`
	Build       struct {
		Builder string `json:"builder"`
	} `json:"build"`
	Run struct {
		Envs []Env `json:"envs"`
	} `json:"run"`
	Deploy Deploy `json:"deploy"`
	// Folder is that of the func.yaml.
	Folder string `json:"-"`
}

// Deploy is what func makes the Knative Service of.
type Deploy struct {
	ServiceAccountName string `json:"serviceAccountName"`
	Labels             []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"labels"`
	Options struct {
		Scale struct {
			Min *int `json:"min"`
			Max *int `json:"max"`
		} `json:"scale"`
		Resources struct {
			Requests Resources `json:"requests"`
			Limits   struct {
				Resources   `json:",inline"`
				Concurrency *int64 `json:"concurrency"`
			} `json:"limits"`
		} `json:"resources"`
	} `json:"options"`
}

// Resources are of one container.
type Resources struct {
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
}

// Env is one environment variable of a function.
type Env struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Functions reads the func.yaml of every folder in dir.
func Functions(dir string) ([]Function, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "func.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	var functions []Function
	for _, path := range paths {
		document, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read function: %w", err)
		}
		function := Function{Folder: filepath.Base(filepath.Dir(path))}
		if err := strictly(document, &function); err != nil {
			return nil, fmt.Errorf("functions/%s/func.yaml: %w", function.Folder, err)
		}
		functions = append(functions, function)
	}
	return functions, nil
}

// reference is where a value is kept.
type reference struct{ kind, name, key string }

// reference is func's syntax for a value that the cluster keeps.
func (e Env) reference() (reference, bool) {
	parts := regexp.MustCompile(`^\{\{\s*(configMap|secret):([^:\s]+):([^:\s]+)\s*\}\}$`).FindStringSubmatch(e.Value)
	if parts == nil {
		return reference{}, false
	}
	return reference{parts[1], parts[2], parts[3]}, true
}

// reads tells whether the function takes one of the variables.
func (f Function) reads(names ...string) bool {
	return slices.ContainsFunc(f.Run.Envs, func(e Env) bool { return slices.Contains(names, e.Name) })
}

// public tells whether the function can be reached from outside of the cluster.
func (f Function) public() bool {
	for _, label := range f.Deploy.Labels {
		if label.Key == visibility && label.Value == clusterLocal {
			return false
		}
	}
	return true
}

// service is the Knative Service that func deploy makes of the func.yaml, after
// generateNewService of func v0.49.2.
func (f Function) service() (*serving.Service, error) {
	container, err := f.container()
	if err != nil {
		return nil, err
	}
	labels := map[string]string{"function.knative.dev/name": f.Name, "function.knative.dev/runtime": f.Runtime}
	for _, label := range f.Deploy.Labels {
		labels[label.Key] = label.Value
	}
	scale := map[string]string{}
	if minimum := f.Deploy.Options.Scale.Min; minimum != nil {
		scale[autoscaling.MinScaleAnnotationKey] = strconv.Itoa(*minimum)
	}
	if maximum := f.Deploy.Options.Scale.Max; maximum != nil {
		scale[autoscaling.MaxScaleAnnotationKey] = strconv.Itoa(*maximum)
	}
	service := &serving.Service{ObjectMeta: metav1.ObjectMeta{Name: f.Name, Namespace: f.Namespace, Labels: labels}}
	template := &service.Spec.Template
	template.Labels, template.Annotations = labels, scale
	template.Spec.ContainerConcurrency = f.Deploy.Options.Resources.Limits.Concurrency
	template.Spec.ServiceAccountName = f.Deploy.ServiceAccountName
	template.Spec.Containers = []corev1.Container{container}
	return service, nil
}

func (f Function) container() (corev1.Container, error) {
	container := corev1.Container{Image: "registry.example.com/orderflow/" + f.Name}
	for _, env := range f.Run.Envs {
		variable := corev1.EnvVar{Name: env.Name, Value: env.Value}
		if from, is := env.reference(); is {
			variable = corev1.EnvVar{Name: env.Name, ValueFrom: from.source()}
		}
		container.Env = append(container.Env, variable)
	}
	var err error
	resources := f.Deploy.Options.Resources
	if container.Resources.Requests, err = resources.Requests.list(); err != nil {
		return container, err
	}
	container.Resources.Limits, err = resources.Limits.list()
	return container, err
}

func (r reference) source() *corev1.EnvVarSource {
	object := corev1.LocalObjectReference{Name: r.name}
	if r.kind == "secret" {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: object, Key: r.key}}
	}
	return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: object, Key: r.key}}
}

func (r Resources) list() (corev1.ResourceList, error) {
	cpu, err := resource.ParseQuantity(r.CPU)
	if err != nil {
		return nil, fmt.Errorf("cpu %q: %w", r.CPU, err)
	}
	memory, err := resource.ParseQuantity(r.Memory)
	if err != nil {
		return nil, fmt.Errorf("memory %q: %w", r.Memory, err)
	}
	return corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}, nil
}

// named are the functions' names.
func named(functions []Function) string {
	names := make([]string, 0, len(functions))
	for _, f := range functions {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}
