package function_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-recovery"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestTakesPingsOnly(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.pass("1 hour")
	if status, _ := w.ping("orderflow.order.placed.v1"); status != http.StatusUnprocessableEntity {
		t.Errorf("an event that is no ping was answered %d, want 422", status)
	}
	if response, err := http.Get(w.url); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET = %v, %v, want 405", response, err)
	} else {
		response.Body.Close() //nolint:errcheck,gosec // only the status matters
	}
	w.wantSent()
	if status, body := w.ping("dev.knative.sources.ping"); status != http.StatusOK || !json.Valid([]byte(body)) {
		t.Errorf("a ping was answered %d %q, want 200 with a report", status, body)
	}
	w.wantSent(id(order, "order-placed"))
}

func TestSettings(t *testing.T) {
	t.Parallel()
	good := map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/none", "K_SINK": "http://127.0.0.1:1/orderflow/order-placed"}
	for name, test := range map[string]struct{ variable, value, want string }{
		"no sink":                   {"K_SINK", "", "K_SINK is not set"},
		"not a duration":            {"RECOVER_AFTER", "soon", "is not a time.Duration"},
		"not positive":              {"RECOVER_AFTER", "0s", "RECOVER_AFTER"},
		"no attempts":               {"RECOVER_AT_MOST", "0", "RECOVER_AT_MOST"},
		"unhandled before unsent":   {"RECOVER_UNHANDLED_AFTER", "1s", "RECOVER_UNHANDLED_AFTER"},
		"not a number of attempts ": {"RECOVER_AT_MOST", "many", "is not a int"},
	} {
		environment := map[string]string{test.variable: test.value}
		for key, value := range good {
			if _, set := environment[key]; !set {
				environment[key] = value
			}
		}
		f := function.New()
		if err := f.Start(t.Context(), environment); err != nil {
			t.Fatal(err)
		}
		if ready, err := f.Ready(t.Context()); ready || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Ready() = %t, %v, want an error with %q", name, ready, err, test.want)
		}
		if err := f.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDatabaseDownIs503(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"})
	if status, body := w.ping("dev.knative.sources.ping"); status != http.StatusServiceUnavailable {
		t.Errorf("a sweep without a database was answered %d %s, want 503", status, body)
	}
}

// A function died after its commit: nobody ever sent the event.
func TestEventThatWasNeverPublished(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.exec(`update order_events set published_at = now() where order_id = $1 and name = 'order-placed'`, order.ID)
	w.handle(order, "order-placed", "customer-notification", "order-analytics")
	if done := w.sweep(); done.Resent != 0 {
		t.Errorf("an order that has just moved was recovered: %+v", done)
	}
	w.pass("31 seconds")
	want := function.Report{Resent: 1, Events: 1, Complete: true}
	if diff := cmp.Diff(want, w.sweep(), ignoreCause()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	w.wantSent(id(order, "payment-verified"))
	sent := w.sink.Sent()[0].Event
	if sent.Type() != events.TypePaymentVerified || sent.Subject() != order.ID.String() || sent.Source() != "/orderflow/payment-verification" ||
		sent.Extensions()["causationid"] != id(order, "order-placed") {
		t.Errorf("sent %s, want what payment-verification would send", sent)
	}
	data, err := events.Decode(sent.Type(), sent.Data())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(order.Data(events.TypePaymentVerified), data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// Kafka accepted the event and lost it. It is sent when its KafkaSource would
// have given up, and the rest of the history is not.
func TestEventThatKafkaLost(t *testing.T) {
	t.Parallel()
	for _, status := range []events.Status{events.StatusPlaced, events.StatusPaymentVerified, events.StatusInventoryUpdated} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			order := w.healthy(status)
			w.pass("9 minutes")
			if done := w.sweep(); done.Resent != 0 {
				t.Errorf("too early: %+v", done)
			}
			w.pass("61 seconds")
			w.sweep()
			for _, kind := range events.Catalog() {
				if kind.Status == status {
					w.wantSent(id(order, kind.Name))
				}
			}
		})
	}
}

func TestFinalOrderSettles(t *testing.T) {
	t.Parallel()
	for _, status := range []events.Status{events.StatusShipped, events.StatusCancelled} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			w.healthy(status)
			w.pass("31 seconds")
			if diff := cmp.Diff(function.Report{Settled: 1, Complete: true}, w.sweep(), ignoreCause()); diff != "" {
				t.Errorf("first sweep (-want +got):\n%s", diff)
			}
			w.pass("1 day")
			if diff := cmp.Diff(function.Report{Complete: true}, w.sweep(), ignoreCause()); diff != "" {
				t.Errorf("second sweep (-want +got):\n%s", diff)
			}
			w.wantSent()
		})
	}
}

// What a final order's events may still be missing, and after how long it is
// sent again.
func TestFinalOrderThatIsNotSettled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status events.Status
		lose   string
		after  string
		want   string
	}{
		"cancellation not handled": {
			events.StatusCancelled, `delete from order_events where source = 'order-cancellation'`, "601 seconds", "order-cancelled",
		},
		"cancelled before its payment was looked at": {
			events.StatusCancelled, `delete from order_events where source = 'payment-verification'`, "601 seconds", "order-placed",
		},
		"not published": {
			events.StatusShipped, `update order_events set published_at = null where name = 'order-shipped'`, "31 seconds", "order-shipped",
		},
		"an earlier event not published": {
			events.StatusShipped, `update order_events set published_at = null where name = 'payment-verified'`, "31 seconds", "payment-verified",
		},
		"not mailed": {
			events.StatusShipped, `delete from order_events where source = 'customer-notification' and cause = 'order-shipped'`, "601 seconds", "order-shipped",
		},
		"not counted": {
			events.StatusCancelled, `delete from order_events where source = 'order-analytics' and cause = 'order-placed'`, "601 seconds", "order-placed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			order := w.healthy(test.status)
			w.exec(test.lose)
			if done := w.sweep(); done.Settled+done.Resent != 0 {
				t.Errorf("too early: %+v", done)
			}
			w.pass(test.after)
			w.exec(`update orders set resend_after = null`)
			if diff := cmp.Diff(function.Report{Resent: 1, Events: 1, Complete: true}, w.sweep(), ignoreCause()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			w.wantSent(id(order, test.want))
		})
	}
}

// Whoever is behind is left alone for ten minutes, and the order isn't looked at
// meanwhile.
func TestReadersHaveTime(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := w.healthy(events.StatusShipped)
	w.exec(`delete from order_events where source = 'customer-notification' and cause = 'order-shipped'`)
	w.pass("1 minute")
	if done := w.sweep(); done.Postponed != 1 || done.Resent != 0 {
		t.Errorf("after a minute: %+v, want it postponed", done)
	}
	w.pass("8 minutes")
	if done := w.sweep(); done.Postponed != 0 || done.Resent != 0 {
		t.Errorf("after nine minutes: %+v, want it not looked at", done)
	}
	w.pass("2 minutes")
	w.sweep()
	w.wantSent(id(order, "order-shipped"))
	w.handle(order, "order-shipped", "customer-notification")
	w.pass("11 minutes")
	// The note of when the event was published again is written beside the sweep.
	w.publish(order)
	if done := w.sweep(); done.Settled != 1 {
		t.Errorf("after the mail: %+v, want it settled", done)
	}
}

// The waits double, and at the end there is a dead letter, once. From then on it
// is tried every hour: what people have mended goes on by itself.
func TestGivesUpAndSaysSo(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"RECOVER_AT_MOST": "3"})
	order := w.healthy(events.StatusPaymentVerified)
	sent, event := 0, id(order, "payment-verified")
	w.pass("601 seconds")
	for _, wait := range []string{"601 seconds", "1201 seconds", "2401 seconds"} {
		w.sweep()
		w.sweep()
		if sent++; len(w.sink.Sent()) != sent {
			t.Errorf("sent %d times before waiting %s, want %d", len(w.sink.Sent()), wait, sent)
		}
		w.pass(wait)
	}
	if done := w.sweep(); done.GivenUp != 1 || done.Resent != 0 {
		t.Errorf("after three attempts: %+v, want it given up", done)
	}
	for range 3 {
		w.pass("61 minutes")
		if done := w.sweep(); done.GivenUp != 0 || done.Resent != 1 {
			t.Errorf("an hour later: %+v, want it sent", done)
		}
		if sent++; len(w.sink.Sent()) != sent {
			t.Errorf("sent %d times in all, want %d", len(w.sink.Sent()), sent)
		}
	}
	w.wantDeadLetter(event)
}

func (w *world) wantDeadLetter(event string) {
	w.t.Helper()
	want := event + " /orderflow/payment-verification orderflow.payment.verified.v1 order-recovery 1 open" +
		" tried 3 times, not handled by inventory-update"
	if got := w.value(`select concat_ws(' ', event_id, event_source, event_type, error_dest, times, state, error_data) from dead_letters`); got != want {
		w.t.Errorf("dead letter = %s, want %s", got, want)
	}
	got := w.value(`select convert_from(event, 'utf8')::jsonb ->> 'id' from dead_letters`)
	if got != event {
		w.t.Errorf("the dead letter holds the event %s, want %s", got, event)
	}
}

// An outage of Kafka uses up no attempts: nothing was tried. Afterwards
// everything is sent within minutes.
func TestSinkDown(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"RECOVER_AT_MOST": "2"})
	for range 40 {
		w.healthy(events.StatusPlaced)
	}
	w.sink.SetDown(true)
	w.pass("11 minutes")
	for range 5 {
		if done := w.sweep(); done.Failed == 0 || done.Failed > tries || done.Resent != 0 || done.GivenUp != 0 {
			t.Errorf("sweep with the sink down: %+v, want some failed", done)
		}
		w.pass("11 minutes")
	}
	w.sink.SetDown(false)
	if done := w.sweep(); done.Resent != 40 || done.Failed != 0 {
		t.Errorf("sweep with the sink up: %+v, want 40 sent", done)
	}
	if got := len(w.sink.IDs()); got != 40 {
		t.Errorf("sent the events of %d orders, want 40", got)
	}
}

// An event that only a newer version knows can't be sent by this one. It is
// reported, holds up nobody else, and ends as a dead letter like any other.
func TestEventOfANewerVersion(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"RECOVER_AT_MOST": "2"})
	strange, lost := w.healthy(events.StatusShipped), w.healthy(events.StatusPlaced)
	w.exec(`insert into order_events (order_id, name, source, cause, type, data, occurred_at)
		values ($1, 'order-exchanged', 'returns', null, 'orderflow.order.exchanged.v1', '{"a":1}', now())`, strange.ID)
	w.pass("11 minutes")
	if done := w.sweep(); done.Failed != 1 || done.Resent != 1 {
		t.Errorf("sweep: %+v, want one failed and one sent", done)
	}
	w.wantSent(id(lost, "order-placed"))
	w.exec(`update orders set resend_after = now() + interval '1 day' where id = $1`, lost.ID)
	for _, wait := range []string{"31 seconds", "61 seconds"} {
		if done := w.sweep(); done.Failed+done.GivenUp != 0 {
			t.Errorf("before %s: %+v, want it left alone", wait, done)
		}
		w.pass(wait)
		if done := w.sweep(); done.Failed+done.GivenUp != 1 || (wait == "61 seconds") != (done.GivenUp == 1) {
			t.Errorf("after %s: %+v, want the second attempt to fail, and then a dead letter", wait, done)
		}
	}
	if got := w.value(`select event_type || ' ' || convert_from(event, 'utf8') from dead_letters`); got != `orderflow.order.exchanged.v1 {"a": 1}` {
		t.Errorf("dead letter = %s", got)
	}
}

// A newer sender may say more than this version understands; all of it is sent.
func TestUnknownFieldsAreSentAgain(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := w.healthy(events.StatusPlaced)
	w.exec(`update order_events set data = data || '{"gift": true}' where order_id = $1 and name = 'order-placed'`, order.ID)
	w.pass("11 minutes")
	w.sweep()
	var data map[string]any
	if err := json.Unmarshal(w.sink.Sent()[0].Event.Data(), &data); err != nil || data["gift"] != true || data["number"] != order.Number {
		t.Errorf("sent data %v (%v), want it whole", data, err)
	}
}

// What an order without any event waits for, nobody can know. It is left to
// the audit, and harms nothing.
func TestOrderWithoutHistory(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.exec(`delete from order_events`)
	w.pass("11 minutes")
	if done := w.sweep(); done.Postponed != 1 {
		t.Errorf("sweep: %+v, want it postponed", done)
	}
	if w.value(`select settled_at is null from orders where id = $1`, order.ID) != "true" {
		t.Error("an order without history was settled")
	}
}
