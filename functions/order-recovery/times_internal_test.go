package function

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/config"
)

// Operators are told how long it takes until a lost event is sent again, and until
// they get to know of it: by the settings as they come.
func TestTimesAreStated(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../infra/FAILURES.md")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse[Config](map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	for what, pending := range map[string]Pending{
		"its sink never had it, as when a function died":            {Name: "order-placed", Unpublished: true},
		"Kafka has lost it, or a function didn't handle it in time": {Name: "order-placed", Waiting: []string{"payment-verification"}},
	} {
		if row := told(what, cfg.policy(), pending); !strings.Contains(string(text), row) {
			t.Errorf("infra/FAILURES.md doesn't say\n%s", row)
		}
	}
	for _, figure := range []string{
		fmt.Sprintf("%d attempts", cfg.MaxResends), fmt.Sprintf("younger than %s", words(outage)), fmt.Sprintf("tried every %s at", words(maxRetry)),
	} {
		if !strings.Contains(string(text), figure) {
			t.Errorf("infra/FAILURES.md doesn't say %q", figure)
		}
	}
}

// told is the row that says what becomes of an event that nothing helps.
func told(what string, p Policy, pending Pending) string {
	order := Order{Status: events.StatusPlaced, Pending: []Pending{pending}}
	var waits []string
	for {
		decision := p.Decide(order)
		switch decision.Action {
		case Postpone: // the first time, until it has waited long enough
			order.Pending[0].Age += decision.Next
		case GiveUp:
			return fmt.Sprintf("| %s | %s | %s, and so on | %s |", what, words(p.patience(pending)), strings.Join(waits, ", "), words(order.Pending[0].Age))
		default:
			order.Resends = decision.Resends
			order.Pending[0].Age += decision.Next
			if len(waits) == 0 || waits[len(waits)-1] != words(decision.Next) {
				waits = append(waits, words(decision.Next))
			}
		}
	}
}

// words is a time as people say it.
func words(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := int(d / unit.size); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.name))
		}
		d %= unit.size
	}
	return strings.Join(parts, " ")
}
