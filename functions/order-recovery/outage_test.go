package function_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-recovery"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// tries is how many events of a topic are tried before it is taken for down.
const tries = 16

// gate stands before the sink, refuses some events, and counts those.
type gate struct {
	next http.Handler

	mu      sync.Mutex
	held    map[string]<-chan struct{}
	refuse  func(topic, event string) int
	refused map[string]int
}

// startGated runs the function with a gate before its sink.
func startGated(t *testing.T, settings map[string]string) (*world, *gate) {
	t.Helper()
	g := &gate{refused: map[string]int{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	environment := map[string]string{"K_SINK": server.URL + "/orderflow/order-placed"}
	maps.Copy(environment, settings)
	w := start(t, environment)
	behind, err := url.Parse(w.sink.URL())
	if err != nil {
		t.Fatal(err)
	}
	behind.Path = ""
	g.next = httputil.NewSingleHostReverseProxy(behind)
	return w, g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	topic, status := strings.TrimPrefix(r.URL.Path, "/orderflow/"), 0
	g.mu.Lock()
	held := g.held[topic]
	g.mu.Unlock()
	if held != nil {
		<-held
	}
	g.mu.Lock()
	if g.refuse != nil {
		status = g.refuse(topic, r.Header.Get("Ce-Id"))
	}
	if status != 0 {
		g.refused[topic]++
	}
	g.mu.Unlock()
	if status != 0 {
		http.Error(w, "no", status)
		return
	}
	g.next.ServeHTTP(w, r)
}

// set says which events are refused from now on, by which status, and counts
// them from zero. No rule refuses none.
func (g *gate) set(refuse func(topic, event string) int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse, g.refused = refuse, map[string]int{}
}

// hold lets no event of a topic pass before until is closed.
func (g *gate) hold(topic string, until <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = map[string]<-chan struct{}{topic: until}
}

func (g *gate) counts() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.refused)
}

// down refuses all events of some topics; of all where none is named.
func down(topics ...string) func(topic, event string) int {
	return func(topic, _ string) int {
		if len(topics) == 0 || slices.Contains(topics, topic) {
			return http.StatusServiceUnavailable
		}
		return 0
	}
}

// unsent makes orders that come before all others, each with one event, a
// minute old, that no sink has accepted.
func (w *world) unsent(n int, event, eventType string) {
	w.t.Helper()
	w.made++
	kind, _ := events.ByName(event)
	w.exec(`insert into orders (id, number, status, cancel_reason, total_amount, currency, payment_method, placed_at, updated_at)
		select ('00000000-0000-7000-8' || lpad($2::text, 3, '0') || '-' || lpad(n::text, 12, '0'))::uuid, 'U-' || $2::text || '-' || n,
		       $3, case $3 when 'cancelled' then 'customer_request' end, 3300, 'EUR', 'pm_card_visa', now() - interval '1 minute', now() - interval '1 minute'
		from generate_series(1, $1::int) n`, n, fmt.Sprint(w.made), string(kind.Status))
	w.exec(`insert into order_events (order_id, name, source, type, data, occurred_at)
		select id, $2, 'storefront', $3, jsonb_build_object('order_id', id), placed_at
		from orders where number like 'U-' || $1::text || '-%'`, fmt.Sprint(w.made), event, eventType)
}

// state is what orders remember of their attempts.
func (w *world) state(where string) string {
	w.t.Helper()
	return w.value(`select string_agg(distinct resends::text, ' ' order by resends::text) from orders where ` + where)
}

// More than a batch of orders wait for one sink that is down: the others'
// events are sent in the same sweep, and what is done with is settled.
func TestTopicThatIsDown(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, patient())
	w.unsent(600, "order-cancelled", events.TypeOrderCancelled)
	lost, _ := w.healthy(events.StatusPlaced), w.healthy(events.StatusShipped)
	w.pass("11 minutes")
	settled := ""
	g.set(func(topic, event string) int {
		if settled == "" {
			settled = w.value(`select count(*) from orders where settled_at is not null`)
		}
		return down("order-cancelled")(topic, event)
	})
	done := w.sweep()
	if done.Resent != 1 || done.Settled != 1 || done.Failed != tries || done.GivenUp != 0 || done.Complete {
		t.Errorf("sweep: %+v, want one sent, one settled, %d failed, and not complete", done, tries)
	}
	w.wantSent(id(lost, "order-placed"))
	if diff := cmp.Diff(map[string]int{"order-cancelled": tries}, g.counts()); diff != "" {
		t.Errorf("tried (-want +got):\n%s", diff)
	}
	if settled != "1" {
		t.Errorf("%s settled when the first event was tried, want one", settled)
	}
	if got := w.state(`number like 'U-%'`); got != "0" {
		t.Errorf("resends = %s, want none to count", got)
	}
	g.set(nil)
	if done := w.sweep(); done.Resent != 600-tries {
		t.Errorf("sweep right after the outage: %+v, want all that weren't tried to be sent", done)
	}
	w.pass("11 minutes")
	w.sweep()
	if got := len(w.sink.IDs()); got != 601 {
		t.Errorf("sent the events of %d orders, want all 601", got)
	}
}

// With everything down, each topic is tried a few times in a sweep and no more,
// also when its events come in the orders of another.
func TestEverythingDown(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, patient())
	want := map[string]int{}
	for _, kind := range events.Catalog() {
		w.unsent(200, kind.Name, kind.Type)
		want[kind.Name] = tries
	}
	w.exec(`insert into order_events (order_id, name, source, type, data, occurred_at)
		select id, 'order-placed', 'storefront', 'orderflow.order.placed.v1', '{}', placed_at from orders where status = 'shipped'`)
	w.pass("11 minutes")
	for range 3 {
		g.set(down())
		if done := w.sweep(); done.Resent != 0 || done.GivenUp != 0 || done.Complete {
			t.Errorf("sweep: %+v, want nothing sent or given up", done)
		}
		if diff := cmp.Diff(want, g.counts()); diff != "" {
			t.Errorf("tried (-want +got):\n%s", diff)
		}
	}
	if got := w.state(`true`); got != "0" {
		t.Errorf("resends = %s, want none to count", got)
	}
}

// A sink that dies in the middle of a sweep is noticed as well.
func TestSinkDiesDuringTheSweep(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, patient())
	w.unsent(300, "order-placed", events.TypeOrderPlaced)
	w.pass("11 minutes")
	taken := 0
	g.set(func(string, string) int {
		if taken++; taken > 2*tries {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	if done := w.sweep(); done.Resent != 2*tries || done.Failed != tries {
		t.Errorf("sweep: %+v, want %d sent and %d failed", done, 2*tries, tries)
	}
	if got := w.value(`select count(*) from orders where resends = 0`); got != fmt.Sprint(300-2*tries) {
		t.Errorf("%s attempts count for nothing, want all but the %d that were sent", got, 2*tries)
	}
}

// Events that can't be sent hold up nobody, however many there are: neither an
// order behind them nor those that are done with.
func TestUnsendableEvents(t *testing.T) {
	t.Parallel()
	w := start(t, patient())
	w.stall(0, 1000)
	w.unsent(600, "order-placed", "orderflow.order.placed.v9")
	lost := w.healthy(events.StatusPlaced)
	w.pass("11 minutes")
	if done := w.sweep(); done.Settled != 1000 || done.Resent != 1 || done.Failed != 600 {
		t.Errorf("sweep: %+v, want 1000 settled, one sent, 600 failed", done)
	}
	w.wantSent(id(lost, "order-placed"))
	if got := w.state(`number like 'U-%'`); got != "1" {
		t.Errorf("resends = %s, want each attempt to count", got)
	}
	if done := w.sweep(); done.Failed != 0 {
		t.Errorf("a sweep right after: %+v, want them to be left alone", done)
	}
}

// A sink refuses some events for good, more than it takes to be thought down:
// they make way for the next.
func TestEventsThatTheirSinkRefuses(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, nil)
	w.unsent(2*tries+1, "order-placed", events.TypeOrderPlaced)
	lost := w.healthy(events.StatusPlaced)
	w.pass("11 minutes")
	g.set(func(_, event string) int {
		if strings.HasPrefix(event, "00000000") {
			return http.StatusBadRequest
		}
		return 0
	})
	for range 3 {
		w.sweep()
		w.pass("1 minute")
	}
	w.wantSent(id(lost, "order-placed"))
}

// An event that its sink refuses while it takes others ends as a dead letter,
// by the same waits as any other.
func TestRefusedEventBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, map[string]string{"RECOVER_AT_MOST": "3"})
	refused := w.healthy(events.StatusPaymentVerified)
	g.set(func(_, event string) int {
		if event == id(refused, "payment-verified") {
			return http.StatusBadRequest
		}
		return 0
	})
	for attempt, wait := range []string{"601 seconds", "601 seconds", "1201 seconds"} {
		w.healthy(events.StatusPaymentVerified)
		w.exec(`update order_events set occurred_at = now() - interval '11 minutes' where occurred_at > now() - interval '1 minute'`)
		w.pass(wait)
		if done := w.sweep(); done.Failed != 1 || done.Resent == 0 || done.GivenUp != 0 {
			t.Errorf("sweep: %+v, want one failed and the others sent", done)
		}
		if got := w.value(`select resends from orders where id = $1`, refused.ID); got != fmt.Sprint(attempt+1) {
			t.Errorf("resends = %s, want %d", got, attempt+1)
		}
	}
	w.exec(`update orders set resend_after = now() + interval '1 day' where id <> $1`, refused.ID)
	w.pass("2401 seconds")
	if done := w.sweep(); done.GivenUp != 1 {
		t.Errorf("after three attempts: %+v, want it given up", done)
	}
	w.wantDeadLetter(id(refused, "payment-verified"))
}

// An outage counts for nothing, but not for ever: after a day at the latest
// people have a dead letter, whether the order was tried or its topic skipped.
func TestOutageThatLasts(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, nil)
	const orders = 2*tries + 8
	w.unsent(orders, "order-placed", events.TypeOrderPlaced)
	lost := w.healthy(events.StatusInventoryUpdated)
	g.set(down())
	given := 0
	for half := range 50 {
		w.pass("30 minutes")
		for range 4 {
			given += w.sweep().GivenUp
		}
		if half < 12 && given > 0 {
			t.Fatalf("given up after %d half hours, want an outage of 6 hours to count for nothing", half+1)
		}
	}
	if given != orders+1 {
		t.Errorf("%d given up in 25 hours, want all %d, once", given, orders+1)
	}
	if got := w.value(`select count(*) from dead_letters where times = 1`); got != fmt.Sprint(orders+1) {
		t.Errorf("%s dead letters, want %d", got, orders+1)
	}
	g.set(nil)
	w.pass("61 minutes")
	if done := w.sweep(); done.Resent != orders+1 || done.GivenUp != 0 {
		t.Errorf("after the outage: %+v, want all sent", done)
	}
	if ids := strings.Join(w.sink.IDs(), " "); !strings.Contains(ids, id(lost, "inventory-updated")) {
		t.Errorf("sent %s, want what %s waits for", ids, lost.ID)
	}
}

// What people know of isn't given up again because an attempt fails: it would
// open a letter that they have dealt with, and cost another hour.
func TestFailureAfterTheDeadLetter(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, map[string]string{"RECOVER_AT_MOST": "1"})
	w.healthy(events.StatusPlaced)
	for _, wait := range []string{"11 minutes", "61 minutes"} {
		w.pass(wait)
		w.sweep()
	}
	w.exec(`update dead_letters set state = 'redriven'`)
	for range 3 {
		g.set(down())
		w.pass("61 minutes")
		if done := w.sweep(); done.Failed != 1 || done.GivenUp != 0 {
			t.Errorf("an hour later with the sink down: %+v, want one failed", done)
		}
		g.set(nil)
		w.pass("61 minutes")
		if done := w.sweep(); done.Resent != 1 || done.GivenUp != 0 {
			t.Errorf("two hours later: %+v, want it sent", done)
		}
	}
	if got := w.value(`select concat_ws(' ', state, times) from dead_letters`); got != "redriven 1" {
		t.Errorf("dead letter is %s, want it redriven, once", got)
	}
}

// What became of an attempt is noted where it is still the order's last, and
// nowhere else.
func TestGivesBackOnlyItsOwn(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]string{
		"moved":                   `update orders set resends = 0, resend_after = null`,
		"settled":                 `update orders set settled_at = now(), resends = 3, resend_after = null`,
		"moved and looked at":     `update orders set resends = 0, resend_after = now() + interval '9 minutes'`,
		"tried by another sweep":  `update orders set resends = 5, resend_after = now() + interval '2 hours'`,
		"given up by another one": `update orders set resends = 21, resend_after = now() + interval '1 hour'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, g := startGated(t, nil)
			w.unsent(1, "order-shipped", events.TypeOrderShipped)
			const state = `select concat_ws(' ', resends, resend_after, settled_at) from orders`
			want := ""
			g.set(func(string, string) int {
				w.exec(meanwhile)
				want = w.value(state)
				return http.StatusServiceUnavailable
			})
			if done := w.sweep(); done.Failed != 1 || g.counts()["order-shipped"] != 1 {
				t.Errorf("sweep: %+v, want one refused", done)
			}
			if got := w.value(state); got != want {
				t.Errorf("the order has %s, want %s as it was made meanwhile", got, want)
			}
		})
	}
}

// A sink that doesn't answer holds up no other, and nothing from being settled,
// even where it is met by more than a batch of orders.
func TestSinkThatHangs(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, patient())
	w.unsent(10, "order-shipped", events.TypeOrderShipped)
	w.unsent(10, "payment-verified", events.TypePaymentVerified)
	w.unsent(10, "inventory-updated", events.TypeInventoryUpdated)
	w.unsent(600, "order-placed", events.TypeOrderPlaced)
	w.healthy(events.StatusCancelled)
	w.pass("11 minutes")
	release := make(chan struct{})
	g.hold("order-placed", release)
	var group sync.WaitGroup
	defer group.Wait()
	defer close(release)
	group.Go(func() { w.sweep() })
	stagetest.Await(t, w.pool, `select not exists (select from order_events where name <> 'order-placed' and type is not null and published_at is null)
		and exists (select from orders where settled_at is not null)`)
	for _, sent := range w.sink.Sent() {
		if sent.Sink == "order-placed" {
			t.Error("the sink didn't hang")
		}
	}
}

// An order that waits for two sinks gets what one takes, and not again and
// again because the other is down.
func TestOneOfTwoSinksDown(t *testing.T) {
	t.Parallel()
	w, g := startGated(t, nil)
	w.unsent(1, "order-shipped", events.TypeOrderShipped)
	w.exec(`insert into order_events (order_id, name, source, type, data, occurred_at)
		select id, 'order-placed', 'storefront', 'orderflow.order.placed.v1', '{}', placed_at from orders`)
	g.set(down("order-shipped"))
	want := function.Report{Failed: 1, Events: 1, Complete: true}
	if diff := cmp.Diff(want, w.sweep(), ignoreCause()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	w.sweep()
	if sent := w.sink.Sent(); len(sent) != 1 || sent[0].Sink != "order-placed" {
		t.Errorf("sent %v, want order-placed, once", sent)
	}
	if got := w.state(`true`); got != "1" {
		t.Errorf("resends = %s, want the attempt to count", got)
	}
}
