package local

import (
	"fmt"
	"path/filepath"
)

// Options say what to run and where. Only Root and Bin are needed.
type Options struct {
	// Root is the project's folder: manifests and functions are found from it.
	Root string
	// Bin holds the programs orderflow and function.
	Bin string
	// State is where everything that lasts is kept; .orderflow in Root if empty.
	State string
	// PortOffset is added to every port.
	PortOffset int
	// PostgresBin is a folder with Postgres' binaries; empty to look for one.
	PostgresBin string

	// DatabaseURL, KafkaBrokers and S3 are the user's own; what is given is not
	// started.
	DatabaseURL  string
	KafkaBrokers []string
	S3           *S3Account

	// Hidden names what a Postgres client here would have been told besides
	// DATABASE_URL, and functions are not: it is said where that can be the reason.
	Hidden []string

	// Settings replace values of the ConfigMap.
	Settings map[string]string

	// Through has a caller reach another process at a port of 127.0.0.1 that isn't
	// that process's: somebody stands between the two who cuts and delays. By the
	// caller's name, and then by the name of whom it calls.
	Through map[string]map[string]int

	// Line is given what the processes write, line by line; Say, what the
	// system does on its own; Step, the progress of the start. Any may be nil.
	Line func(process, line string)
	Say  func(text string)
	Step func(step string)

	// freePorts takes whatever ports are free, for a system that nobody visits.
	freePorts bool
}

// S3Account is where labels go when there is an S3 already.
type S3Account struct {
	Endpoint, Region, AccessKey, SecretKey string
}

// complete fills in what was left out, and makes paths absolute: processes have
// working folders of their own.
func (o Options) complete() (Options, error) {
	if o.State == "" {
		o.State = filepath.Join(o.Root, ".orderflow")
	}
	for _, path := range []*string{&o.Root, &o.Bin, &o.State} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("find folder: %w", err)
		}
		*path = absolute
	}
	if o.Line == nil {
		o.Line = func(string, string) {}
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o, nil
}

// path is a place in the state folder.
func (o Options) path(parts ...string) string {
	return filepath.Join(append([]string{o.State}, parts...)...)
}
