package functest_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local"
)

// TestPlainFuncRun runs a function as one does who types func run, without what
// make func-run brings: it says what is missing, in its answer and in its log.
func TestPlainFuncRun(t *testing.T) {
	const function = "payment-verification"
	database := "DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing"
	for _, test := range []struct {
		name      string
		variables []string
		want      []string
	}{
		{"nothing", nil, []string{"DATABASE_URL is not set"}},
		{"no provider", []string{database}, []string{"PAYMENT_PROVIDER_URL is not set", "PAYMENT_PROVIDER_KEY is not set"}},
		{
			"no Postgres", []string{database, "PAYMENT_PROVIDER_URL=http://127.0.0.1:1", "PAYMENT_PROVIDER_KEY=x"},
			[]string{"failed to connect to", "127.0.0.1:1", "connection refused"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			port := freePort(t)
			args := []string{"run", "--address=127.0.0.1:" + port}
			for _, variable := range test.variables {
				args = append(args, "--env="+variable)
			}
			cmd := exec.CommandContext(t.Context(), cli(), args...)
			cmd.Dir, cmd.Env = clone("functions", function), append(bare(), "FUNC_GO="+clone("infra", "local", "func-go.sh"))
			p := start(t, cmd)
			url := "http://127.0.0.1:" + port
			p.await("the function answers", func() bool { return get(t, url+"/health/liveness", "").status == http.StatusOK })

			example, err := local.Example(clone(), "order-placed")
			if err != nil {
				t.Fatal(err)
			}
			got := post(t, url, example, nil)
			if got.status != http.StatusServiceUnavailable {
				t.Errorf("an event is answered by %d, want 503", got.status)
			}
			for _, want := range test.want {
				if !strings.Contains(got.body, want) {
					t.Errorf("the answer is %q, want it to say %q", got.body, want)
				}
				p.await("the log says "+want, func() bool { return strings.Contains(p.said(), want) })
			}
			_ = p.interrupt() //nolint:errcheck // func calls it an error if the function was never ready
		})
	}
}
