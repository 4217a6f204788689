package local

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// environmentFile tells other programs on this machine where the running system
// is: all settings and secrets of the functions, as a shell reads them.
const environmentFile = "environment"

// saveEnvironment writes the file, for the owner alone.
func (s *System) saveEnvironment() error {
	variables := s.Settings()
	maps.Copy(variables, s.plan.secrets)
	delete(variables, keyPostgresPassword) // DATABASE_URL has it
	variables["KAFKA_BROKERS"] = s.Brokers()
	variables["KAFKA_SINK_INGRESS"] = s.plan.addresses.URL(kafkaSink)
	variables["BACKOFFICE_URL"] = s.plan.addresses.URL("backoffice")
	variables["FUNCTION_URLS"] = s.plan.functionURLs()

	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(&text, "%s='%s'\n", name, strings.ReplaceAll(variables[name], "'", `'\''`))
	}
	if err := writeWhole(s.plan.path(environmentFile), text.String()); err != nil {
		return fmt.Errorf("write environment: %w", err)
	}
	return nil
}

// Environment is how to reach the system that runs with the state folder: lines
// of NAME='value'.
func Environment(options Options) (string, error) {
	options, err := options.complete()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(options.path(environmentFile))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !stateLocked(options.State)) {
		return "", fmt.Errorf("no system is running with the data in %s: start it with make run", options.State)
	}
	if err != nil {
		return "", fmt.Errorf("read environment: %w", err)
	}
	return string(text), nil
}
