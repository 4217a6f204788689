// Command pod stands in for a function where a test is about processes and not
// about orders: it is ready at once, takes every event, and shows its
// environment, which is what the platform gives it.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("GET /health/readiness", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /environment", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(os.Environ())
	})
	http.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(os.Stderr, "%s got %s %s\n", os.Args[1], r.Header.Get("Ce-Type"), r.Header.Get("Ce-Id"))
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("LISTEN_ADDRESS"), nil))
	os.Exit(1)
}
