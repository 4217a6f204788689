package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Function is a func.yaml.
type Function struct {
	SpecVersion string    `yaml:"specVersion"`
	Name        string    `yaml:"name"`
	Runtime     string    `yaml:"runtime"`
	Namespace   string    `yaml:"namespace"`
	Created     time.Time `yaml:"created"`
	Invoke      string    `yaml:"invoke"`
	// Registry, Image and Deploy.Image are what func writes back into a func.yaml
	// when it builds and deploys; here they have no meaning.
	Registry string `yaml:"registry"`
	Image    string `yaml:"image"`
	Build    struct {
		Builder string `yaml:"builder"`
	} `yaml:"build"`
	Run struct {
		Envs []Env `yaml:"envs"`
	} `yaml:"run"`
	Deploy struct {
		Namespace string `yaml:"namespace"`
		Image     string `yaml:"image"`
		// ServiceAccountName is for the cluster alone, like Options.
		ServiceAccountName string `yaml:"serviceAccountName"`
		Labels             []struct {
			Key   string `yaml:"key"`
			Value string `yaml:"value"`
		} `yaml:"labels"`
		Options Options `yaml:"options"`
	} `yaml:"deploy"`
	// Dir is where the func.yaml stands.
	Dir string `yaml:"-"`
}

// Options are the bounds of a function's pods, for the cluster alone: here
// every function is one process.
type Options struct {
	Scale struct {
		Min int `yaml:"min"`
		Max int `yaml:"max"`
	} `yaml:"scale"`
	Resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	} `yaml:"resources"`
}

// Env is one environment variable of a function.
type Env struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// LoadFunctions reads the func.yaml of every folder in dir, in order of name.
func LoadFunctions(dir string) ([]Function, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "func.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("list functions: no %s: %w", filepath.Join(dir, "*", "func.yaml"), os.ErrNotExist)
	}
	functions := make([]Function, 0, len(paths))
	for _, path := range paths {
		function := Function{Dir: filepath.Dir(path)}
		if err := decodeFile(path, &function); err != nil {
			return nil, err
		}
		functions = append(functions, function)
	}
	return functions, nil
}

// Value finds what a ConfigMap's or a secret's key holds.
type Value func(kind, name, key string) (string, bool)

// reference is func's syntax for a value that the cluster keeps:
// {{ configMap:name:key }} and {{ secret:name:key }}.
func reference() *regexp.Regexp {
	return regexp.MustCompile(`^\{\{\s*(configMap|secret):([^:\s]+):([^:\s]+)\s*\}\}$`)
}

// Environment resolves the function's variables. A reference to nothing is an
// error, as the pod wouldn't start.
func (f Function) Environment(value Value) ([]string, error) {
	pattern := reference()
	environment := make([]string, 0, len(f.Run.Envs))
	for _, env := range f.Run.Envs {
		text := env.Value
		if strings.Contains(text, "{{") {
			parts := pattern.FindStringSubmatch(text)
			if parts == nil {
				return nil, fmt.Errorf("%s/func.yaml: %s is set to %s, which is not configMap:name:key or secret:name:key", f.Dir, env.Name, text)
			}
			resolved, found := value(parts[1], parts[2], parts[3])
			if !found {
				return nil, fmt.Errorf("%s/func.yaml: %s refers to key %s of %s %s, which does not exist", f.Dir, env.Name, parts[3], parts[1], parts[2])
			}
			text = resolved
		}
		environment = append(environment, env.Name+"="+text)
	}
	return environment, nil
}
