// Command function runs one function by func's own server, as the main program
// that func generates for it does. Its name is the only argument; all else comes
// by the environment.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"knative.dev/func-go/http"
)

func main() {
	// func's server tells of its inner life by default.
	zerolog.SetGlobalLevel(zerolog.WarnLevel)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "function:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give the name of one function")
	}
	newHandler, known := functions()[args[0]]
	if !known {
		return fmt.Errorf("there is no function %q", args[0])
	}
	return http.New(newHandler()).Start(context.Background())
}
