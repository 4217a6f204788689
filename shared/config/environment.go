package config

import (
	"os"

	"github.com/caarlos0/env/v11"
)

// Environment is this process's, for programs that people run. A function gets its
// own handed in.
func Environment() map[string]string { return env.ToMap(os.Environ()) }
