package function_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/customer-notification"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	for _, kind := range events.Catalog() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			stagetest.Conform(t, stagetest.Stage{
				New: function.New, Accepts: kind.Type, Observes: true,
				Environment: func(tb testing.TB) map[string]string { return environment(startMailbox(tb)) },
			})
		})
	}
}

// What is wrong with the settings is said when the function starts, and names
// the variable without repeating its value.
func TestSettings(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"SENDGRID_API_KEY": "", "MAIL_FROM": "nobody at all", "SHOP_URL": "shop.example.com", "ORDER_TOKEN_KEY": "too short",
		"SENDGRID_TIMEOUT": "a while", "MAIL_LOCALE": "tlh", "MAIL_EVIDENCE_WAIT": "3m1s",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			variables := maps.Clone(environment("http://127.0.0.1:1"))
			variables["DATABASE_URL"], variables[variable] = "postgres://nobody@127.0.0.1:1/none", value
			f := function.New()
			if err := f.Start(t.Context(), variables); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Stop(t.Context()) })
			ready, err := f.Ready(t.Context())
			if ready || err == nil || value != "" && variable != "MAIL_LOCALE" && strings.Contains(err.Error(), value) {
				t.Errorf("Ready() = %t, %v, want an error without the value", ready, err)
			}
		})
	}
}
