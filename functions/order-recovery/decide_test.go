package function_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-recovery"
)

func policy() function.Policy {
	return function.Policy{
		Unpublished: 30 * time.Second, Unhandled: 10 * time.Minute, MaxBackoff: time.Hour, MaxResends: 3,
		Outage: 6 * time.Hour, MaxRetry: 10 * time.Minute,
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	lost := function.Pending{Name: "order-placed", Waiting: []string{"payment-verification", "order-analytics"}, Age: 11 * minute}
	unsent := function.Pending{Name: "order-placed", Unpublished: true, Age: minute}
	unseen := function.Pending{Name: "order-shipped", Waiting: []string{"customer-notification"}, Age: minute}
	late := function.Pending{Name: "order-shipped", Waiting: []string{"customer-notification"}, Age: 11 * minute}
	for name, test := range map[string]struct {
		order function.Order
		want  function.Decision
	}{
		"final and all is handled": {
			function.Order{Status: events.StatusShipped, Resends: 2},
			function.Decision{Action: function.Settle},
		},
		"a stage hasn't got it": {
			function.Order{Status: events.StatusPlaced, Pending: []function.Pending{lost}},
			function.Decision{Action: function.Send, Due: []string{"order-placed"}, Resends: 1, Next: 10 * minute},
		},
		"a cancelled order's stage hasn't got it": {
			function.Order{Status: events.StatusCancelled, Resends: 1, Pending: []function.Pending{lost}},
			function.Decision{Action: function.Send, Due: []string{"order-placed"}, Resends: 2, Next: 20 * minute},
		},
		"its sink hasn't got it": {
			function.Order{Status: events.StatusShipped, Pending: []function.Pending{{Name: "order-shipped", Unpublished: true, Age: minute}}},
			function.Decision{Action: function.Send, Due: []string{"order-shipped"}, Resends: 1, Next: minute / 2},
		},
		"its KafkaSource has time": {
			function.Order{Status: events.StatusShipped, Pending: []function.Pending{unseen}},
			function.Decision{Action: function.Postpone, Next: 9 * minute},
		},
		"its KafkaSource had time": {
			function.Order{Status: events.StatusShipped, Pending: []function.Pending{late}},
			function.Decision{Action: function.Send, Due: []string{"order-shipped"}, Resends: 1, Next: 10 * minute},
		},
		"only what is due": {
			function.Order{Status: events.StatusShipped, Pending: []function.Pending{unsent, unseen}},
			function.Decision{Action: function.Send, Due: []string{"order-placed"}, Resends: 1, Next: minute / 2},
		},
		"all have it, but the order doesn't move": {
			function.Order{Status: events.StatusPlaced, Pending: []function.Pending{{Name: "order-placed", Age: 11 * minute}}},
			function.Decision{Action: function.Send, Due: []string{"order-placed"}, Resends: 1, Next: 10 * minute},
		},
		"tried often enough": {
			function.Order{Status: events.StatusPlaced, Resends: 3, Pending: []function.Pending{lost}},
			function.Decision{Action: function.GiveUp, Due: []string{"order-placed"}, Resends: 4, Next: time.Hour},
		},
		"given up once": {
			function.Order{Status: events.StatusPlaced, Resends: 4, Pending: []function.Pending{lost}},
			function.Decision{Action: function.Send, Due: []string{"order-placed"}, Resends: 4, Next: time.Hour},
		},
		"unfinished without an event": {
			function.Order{Status: events.StatusPlaced},
			function.Decision{Action: function.Postpone, Next: time.Hour},
		},
	} {
		if diff := cmp.Diff(test.want, policy().Decide(test.order)); diff != "" {
			t.Errorf("%s: Decide (-want +got):\n%s", name, diff)
		}
	}
}

// The waits double up to an hour, and twenty of them outlast a night.
func TestBackoff(t *testing.T) {
	t.Parallel()
	unsent, unhandled := []string{"30s", "1m0s", "2m0s", "4m0s", "8m0s", "16m0s", "32m0s"}, []string{"10m0s", "20m0s", "40m0s"}
	for name, test := range map[string]struct {
		pending function.Pending
		want    []string
	}{
		"its sink hasn't got it": {function.Pending{Name: "order-placed", Unpublished: true, Age: time.Hour}, unsent},
		"unhandled":              {function.Pending{Name: "order-placed", Age: time.Hour}, unhandled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backsOff(t, test.pending, test.want)
		})
	}
}

// backsOff checks the waits between the attempts: some, and then hours.
func backsOff(t *testing.T, pending function.Pending, want []string) {
	t.Helper()
	p := policy()
	p.MaxResends = 20
	order := function.Order{Status: events.StatusPlaced, Pending: []function.Pending{pending}}
	var waits []string
	var all time.Duration
	for order.Resends < p.MaxResends {
		decision := p.Decide(order)
		waits, all = append(waits, decision.Next.String()), all+decision.Next
		order.Resends = decision.Resends
	}
	for len(want) < p.MaxResends {
		want = append(want, "1h0m0s")
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if all < 13*time.Hour || all > 19*time.Hour {
		t.Errorf("the attempts go on for %s, want 13 to 19 hours", all)
	}
}

// Whatever is pending, an order that isn't final is never settled, and what is
// sent was pending.
func TestDecideNeverForgets(t *testing.T) {
	t.Parallel()
	for _, status := range events.Statuses() {
		for _, kind := range events.Catalog() {
			for bits := range 16 {
				pending := function.Pending{Name: kind.Name, Unpublished: bits&1 != 0, Age: time.Duration(bits>>2) * 5 * time.Minute}
				if bits&2 != 0 {
					pending.Waiting = kind.ReadBy[:1]
				}
				for resends := range 6 {
					order := function.Order{Status: status, Resends: resends, Pending: []function.Pending{pending}}
					got := policy().Decide(order)
					what := fmt.Sprintf("Decide(%+v) = %+v", order, got)
					if got.Action == function.Settle {
						t.Errorf("%s: something is pending", what)
					}
					if got.Next <= 0 || got.Next > time.Hour {
						t.Errorf("%s: the next look is not within an hour", what)
					}
					if got.Resends < resends || got.Resends > policy().MaxResends+2 {
						t.Errorf("%s: attempts are miscounted", what)
					}
				}
			}
		}
	}
}

// What counts for nothing, until when, and how long the order then waits.
func TestGiveBack(t *testing.T) {
	t.Parallel()
	const young, old = 6*time.Hour - time.Second, 6 * time.Hour
	for name, test := range map[string]struct {
		outcome function.Outcome
		age     time.Duration
		wait    time.Duration
		back    bool
	}{
		"no time":                     {function.OutOfTime, young, 0, true},
		"no time, and old":            {function.OutOfTime, old, 0, true},
		"skipped":                     {function.Skipped, young, 0, true},
		"skipped, and old":            {function.Skipped, old, 0, false},
		"unanswered, and new":         {function.Unanswered, time.Minute, time.Minute, true},
		"unanswered again":            {function.Unanswered, 2 * time.Minute, 2 * time.Minute, true},
		"unanswered for hours":        {function.Unanswered, young, 10 * time.Minute, true},
		"unanswered, and old":         {function.Unanswered, old, 0, false},
		"sent, or its own fault":      {function.Counted, time.Minute, 0, false},
		"the same, however old it is": {function.Counted, old, 0, false},
	} {
		if wait, back := policy().GiveBack(test.outcome, test.age); wait != test.wait || back != test.back {
			t.Errorf("%s: GiveBack() = %s, %t, want %s, %t", name, wait, back, test.wait, test.back)
		}
	}
}
