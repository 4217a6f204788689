package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/shared/config"
)

type settings struct {
	URL     string        `env:"DATABASE_URL,required,notEmpty"`
	Key     string        `env:"API_KEY,required"`
	Timeout time.Duration `env:"TIMEOUT"               envDefault:"5s"`
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := config.Parse[settings](map[string]string{"DATABASE_URL": "postgres://x", "API_KEY": "k"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (settings{URL: "postgres://x", Key: "k", Timeout: 5 * time.Second}); got != want {
		t.Errorf("Parse() = %+v, want %+v", got, want)
	}
}

func TestParseNamesEverythingAndNoValue(t *testing.T) {
	t.Parallel()
	_, err := config.Parse[settings](map[string]string{"DATABASE_URL": "", "TIMEOUT": "hunter2"})
	if err == nil {
		t.Fatal("Parse() accepted an environment with nothing in it")
	}
	for _, want := range []string{"DATABASE_URL is empty", "API_KEY is not set", "TIMEOUT is not a time.Duration"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Parse() = %q, want it to say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Parse() = %q, which repeats a value", err)
	}
}

// TestParseOfWhatFuncRunLeaves gives a variable as func run does, which doesn't
// resolve what func.yaml refers to.
func TestParseOfWhatFuncRunLeaves(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"DATABASE_URL": "{{ secret:orderflow-postgres:DATABASE_URL }}", "API_KEY": "k", "TIMEOUT": "{{ configMap:orderflow:TIMEOUT }}",
	}
	if _, err := config.Parse[settings](environment); err == nil || err.Error() != "environment: DATABASE_URL is not set" {
		t.Errorf("Parse() = %v, want it to say that DATABASE_URL is not set, and that alone", err)
	}
	environment["DATABASE_URL"] = "postgres://x"
	got, err := config.Parse[settings](environment)
	if want := (settings{URL: "postgres://x", Key: "k", Timeout: 5 * time.Second}); err != nil || got != want {
		t.Errorf("Parse() = %+v, %v, want %+v", got, err, want)
	}
}

func ExampleParse() {
	type Config struct {
		Shop string `env:"SHOP_URL,required"`
	}
	_, err := config.Parse[Config](map[string]string{})
	fmt.Println(err)
	// Output: environment: SHOP_URL is not set
}
