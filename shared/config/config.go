// Package config reads a function's settings from its environment into a
// tagged struct, and says in one error everything that is missing or wrong.
package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Parse fills a T from environment variables, by its `env:"NAME"` tags. The
// environment comes as a map, so that a function reads nothing global and a
// test needs to set nothing.
//
// The error names every variable that is missing or malformed, and never
// repeats a value: it may be a secret.
func Parse[T any](environment map[string]string) (T, error) {
	var settings T
	err := env.ParseWithOptions(&settings, env.Options{Environment: resolved(environment)})
	if err == nil {
		return settings, nil
	}
	return settings, fmt.Errorf("environment: %s", strings.Join(problems(err, reflect.TypeFor[T]()), "; "))
}

// resolved leaves out what is only a reference to a ConfigMap or a secret, as
// {{ secret:name:key }}. func run has no cluster to ask, so it hands them on as
// they stand in func.yaml: nobody has given such a variable a value.
func resolved(environment map[string]string) map[string]string {
	given := maps.Clone(environment)
	maps.DeleteFunc(given, func(_, value string) bool {
		return strings.HasPrefix(value, "{{") && strings.HasSuffix(value, "}}")
	})
	return given
}

func problems(err error, settings reflect.Type) []string {
	aggregate := env.AggregateError{}
	if !errors.As(err, &aggregate) {
		return []string{err.Error()}
	}
	var all []string
	for _, one := range aggregate.Errors {
		all = append(all, problem(one, settings))
	}
	return all
}

// variable finds the environment variable of a field, which is what whoever
// reads the error can change. The library tells the field's name only.
func variable(settings reflect.Type, field string) string {
	for candidate := range settings.Fields() {
		if candidate.Type.Kind() == reflect.Struct {
			if name := variable(candidate.Type, field); name != "" {
				return name
			}
		}
		if name, _, _ := strings.Cut(candidate.Tag.Get("env"), ","); candidate.Name == field && name != "" {
			return name
		}
	}
	return ""
}

func problem(err error, settings reflect.Type) string {
	var (
		missing   env.VarIsNotSetError
		empty     env.EmptyVarError
		malformed env.ParseError
	)
	switch {
	case errors.As(err, &missing):
		return missing.Key + " is not set"
	case errors.As(err, &empty):
		return empty.Key + " is empty"
	case errors.As(err, &malformed):
		return fmt.Sprintf("%s is not a %s", variable(settings, malformed.Name), malformed.Type)
	default:
		return err.Error()
	}
}
