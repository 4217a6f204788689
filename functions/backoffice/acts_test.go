package function_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// letter makes a dead letter of what has happened to an order.
func (o *office) letter(order stagetest.Order, name string) string {
	o.t.Helper()
	standing, err := orderlog.Find(o.t.Context(), o.pool, order.ID, "nobody", name)
	if err != nil {
		o.t.Fatal(err)
	}
	entry := orderlog.Entry{OrderID: order.ID, Name: name, Source: "storefront", Data: standing.Data, OccurredAt: standing.OccurredAt}
	var sent event.Event
	if sent, err = entry.CloudEvent(); err != nil {
		o.t.Fatal(err)
	}
	structured, err := json.Marshal(sent)
	if err != nil {
		o.t.Fatal(err)
	}
	var id string
	err = o.pool.QueryRow(o.t.Context(), `insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_code, event, first_at, last_at)
		values ($1, $2, $3, $4, 'http://payment-verification.orderflow.svc.cluster.local', '500', $5, now(), now()) returning id::text`,
		sent.ID(), sent.Source(), sent.Type(), sent.Subject(), structured).Scan(&id)
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// traceOfPlacing is the trace that an order was placed in: a cancellation begins another.
const traceOfPlacing = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestCancelAnOrder(t *testing.T) {
	t.Parallel()
	sink := stagetest.NewSink(t)
	o := open(t, map[string]string{"K_SINK": sink.URL()})
	order := stagetest.Place(t, o.pool, events.StatusPaymentVerified)
	if _, err := o.pool.Exec(t.Context(), `update order_events set traceparent = $2 where order_id = $1`, order.ID, traceOfPlacing); err != nil {
		t.Fatal(err)
	}
	path, ada := "/orders/"+order.ID.String(), o.as(signin.Operator)
	ada.post(path+"/cancel").want(t, http.StatusUnprocessableEntity, "needs a reason")
	ada.post(path+"/cancel", "reason", "the customer has called").want(t, http.StatusOK, "Cancel order "+order.Number, "the customer has called")
	if n := o.number(`select count(*) from orders where status = 'cancelled'`); n != 0 {
		t.Fatal("the order is cancelled before anybody has said yes")
	}
	yes := []string{"reason", "the customer has called", "confirm", "yes"}
	ada.post(path+"/cancel", yes...).want(t, http.StatusSeeOther)
	ada.get(path).want(t, http.StatusOK, "The order is cancelled.", "the customer has called")
	if ids := sink.IDs(); len(ids) != 1 || ids[0] != order.ID.String()+"/order-cancelled" {
		t.Errorf("the sink has %v", ids)
	}
	if n := o.number(`select count(*) from order_events where name = 'order-cancelled' and traceparent like '00-%-01' and traceparent <> $1`, traceOfPlacing); n != 1 {
		t.Error("the cancellation begins no trace")
	}
	// Once more, as by a button that is pressed twice.
	ada.post(path+"/cancel", yes...).want(t, http.StatusSeeOther)
	ada.get(path).want(t, http.StatusOK, "Nothing was done. The order was cancelled before.")
	shipped := stagetest.Place(t, o.pool, events.StatusShipped)
	ada.post("/orders/"+shipped.ID.String()+"/cancel", yes...).want(t, http.StatusSeeOther)
	if n := o.number(`select count(*) from operator_acts a join operator_act_outcomes o on o.act_id = a.id
		where action = 'cancel order' and reason = 'the customer has called' and actor = 'ada' and subject = 'test:ada' and role = 'operator' and origin = '127.0.0.1'
		  and (target, outcome) in (('order ' || $1, 'done'), ('order ' || $1, 'refused'), ('order ' || $2, 'refused'))`, order.ID.String(), shipped.ID.String()); n != 3 {
		t.Errorf("%d cancellations are on record, want one that was done and two that were refused", n)
	}
	ada.post("/orders/01920000-0000-7000-8000-000000000000/cancel", yes...).want(t, http.StatusNotFound)
}

// What isn't sent at once, order-recovery sends: it is in the history.
func TestCancelWhileTheSinkIsDown(t *testing.T) {
	t.Parallel()
	sink := stagetest.NewSink(t)
	sink.SetDown(true)
	o := open(t, map[string]string{"K_SINK": sink.URL()})
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	o.as(signin.Operator).post("/orders/"+order.ID.String()+"/cancel", "reason", "r", "confirm", "yes").want(t, http.StatusSeeOther)
	if n := o.number(`select count(*) from order_events where name = 'order-cancelled' and source = 'backoffice' and published_at is null`); n != 1 {
		t.Errorf("%d cancellations wait for their sink, want 1", n)
	}
}

// shipped is an order that its customer has paid and got: 2 and 1 units, as stagetest
// places them.
func (o *office) shipped() stagetest.Order {
	o.t.Helper()
	order := stagetest.Place(o.t, o.pool, events.StatusShipped)
	for _, sql := range []string{
		`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, captured_at)
		 select id, 'p', 'captured', total_amount, currency, now(), now() from orders where id = $1`,
		`update stock s set on_hand = on_hand - l.quantity, shipped = shipped + l.quantity from order_lines l where l.sku = s.sku and l.order_id = $1`,
		`insert into reservations (order_id, sku, quantity, state) select order_id, sku, quantity, 'shipped' from order_lines where order_id = $1`,
	} {
		if _, err := o.pool.Exec(o.t.Context(), sql, order.ID); err != nil {
			o.t.Fatalf("%s: %v", sql, err)
		}
	}
	return order
}

func TestTakeBackAnOrder(t *testing.T) {
	t.Parallel()
	sink := stagetest.NewSink(t)
	o := open(t, map[string]string{"K_SINK": sink.URL()})
	order := o.shipped()
	path, ada := "/orders/"+order.ID.String(), o.as(signin.Operator)
	form := func(but ...string) []string {
		all := []string{"good-TEST-ONE", "1", "damaged-TEST-ONE", "", "good-TEST-TWO", "0", "refund", "12.50", "why", "not_wanted", "reference", "RMA-7"}
		return append(all, but...)
	}
	ada.get(path).want(t, http.StatusOK, "Take back, and refund")
	for says, wrong := range map[string][]string{
		"whole number": form("good-TEST-ONE", "1.5"), "how much": form("refund", "12,50"), "how much?": form("refund", "0"),
		"Why?": form("why", "whim"), "Which return?": form("reference", " "),
	} {
		if body := strings.ToLower(ada.post(path+"/take-back", wrong...).want(t, http.StatusUnprocessableEntity).body); !strings.Contains(body, strings.ToLower(says)) {
			t.Errorf("%v: the page doesn't say %q:\n%s", wrong, says, body)
		}
	}
	ada.post(path+"/take-back", form()...).want(t, http.StatusOK, "EUR 12.50 goes back", "1 × TEST-ONE comes back, for sale again", "RMA-7")
	if n := o.number(`select count(*) from order_events where name like 'order-returned%'`); n != 0 {
		t.Fatal("it is taken back before anybody has said yes")
	}
	yes := form("confirm", "yes", "reason", "by phone")
	ada.post(path+"/take-back", yes...).want(t, http.StatusSeeOther)
	ada.get(path).want(t, http.StatusOK, "It is taken back.", "by phone")
	ada.post(path+"/take-back", yes...).want(t, http.StatusSeeOther)
	ada.get(path).want(t, http.StatusOK, "on record already, by ada")
	for says, refused := range map[string][]string{
		"More would come back":        form("confirm", "yes", "reference", "RMA-8", "damaged-TEST-ONE", "9"),
		"More would be given back":    form("confirm", "yes", "reference", "RMA-9", "refund", "99999"),
		"stands for something else":   form("confirm", "yes", "refund", "1"),
		"order has shipped: it can’t": nil,
	} {
		to := "/take-back"
		if refused == nil {
			to, refused = "/cancel", []string{"reason", "r", "confirm", "yes"}
		}
		ada.post(path+to, refused...).want(t, http.StatusSeeOther)
		ada.get(path).want(t, http.StatusOK, says)
	}
	if ids := sink.IDs(); len(ids) != 1 || ids[0] != order.ID.String()+"/order-returned/1" {
		t.Errorf("the sink has %v", ids)
	}
	if n := o.number(`select count(*) from order_acts where actor = 'ada' and action = 'take_back' and reference = 'RMA-7'`); n != 1 {
		t.Errorf("%d returns are on record, want 1", n)
	}
}

func TestDeadLettersAreDealtWith(t *testing.T) {
	t.Parallel()
	sink := stagetest.NewSink(t)
	o := open(t, map[string]string{"K_SINK": sink.URL()})
	first, second, third := stagetest.Place(t, o.pool, events.StatusPlaced), stagetest.Place(t, o.pool, events.StatusPlaced), stagetest.Place(t, o.pool, events.StatusPlaced)
	one, two := o.letter(first, "order-placed"), o.letter(second, "order-placed")
	o.letter(third, "order-placed")
	ada := o.as(signin.Admin)
	ada.get("/dead-letters").want(t, http.StatusOK, "<strong>3</strong> × payment-verification answered 500", first.Number, second.Number)
	ada.post("/dead-letters/"+one+"/redrive").want(t, http.StatusOK, "1 sent.")
	if len(sink.Sent()) != 0 {
		t.Fatal("a dry run has sent something")
	}
	ada.post("/dead-letters/"+one+"/redrive", "confirm", "yes").want(t, http.StatusSeeOther)
	ada.get("/dead-letters/"+one).want(t, http.StatusOK, "Redriven: 1 sent.")
	ada.post("/dead-letters/"+two+"/edit", "data", `{"order_id":"x"}`, "reason", "r").want(t, http.StatusOK, "refused")
	ada.post("/dead-letters/"+two+"/discard", "reason", "it is a test").want(t, http.StatusOK, "1 discarded.")
	ada.post("/dead-letters/"+two+"/discard", "reason", "it is a test", "confirm", "yes").want(t, http.StatusSeeOther)
	ada.post("/orders/"+third.ID.String()+"/redrive", "confirm", "yes").want(t, http.StatusSeeOther)
	if n := o.number(`select count(*) from dead_letters where state = 'open'`); n != 0 || len(sink.Sent()) != 2 {
		t.Errorf("%d letters are open and the sink has %d events, want none and 2", n, len(sink.Sent()))
	}
	o.letter(stagetest.Place(t, o.pool, events.StatusPlaced), "order-placed")
	cause := []string{"function", "payment-verification", "code", "500", "type", events.TypeOrderPlaced}
	ada.post("/dead-letters/redrive", cause...).want(t, http.StatusOK, "1 sent.", `name="function" value="payment-verification"`)
	ada.post("/dead-letters/redrive", append(cause, "confirm", "yes")...).want(t, http.StatusSeeOther)
	if len(sink.Sent()) != 3 {
		t.Errorf("the sink has %d events, want 3", len(sink.Sent()))
	}
}

func TestGoodsCountOnce(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	stagetest.Place(t, o.pool, events.StatusPlaced)
	ada := o.as(signin.Operator)
	for range 2 {
		ada.post("/stock/TEST-ONE/receive", "quantity", "20", "reference", "PO-1", "confirm", "yes").want(t, http.StatusSeeOther)
	}
	asked := ada.post("/stock/TEST-ONE/adjust", "quantity", "-3", "reason", "broken").want(t, http.StatusOK)
	_, rest, _ := strings.Cut(asked.body, `name="reference" value="`)
	reference, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("the question has no reference:\n%s", asked.body)
	}
	for range 2 {
		ada.post("/stock/TEST-ONE/adjust", "quantity", "-3", "reason", "broken", "reference", reference, "confirm", "yes").want(t, http.StatusSeeOther)
	}
	if n := o.number(`select on_hand from stock where sku = 'TEST-ONE'`); n != 117 {
		t.Errorf("%d are on hand, want 100 + 20 - 3", n)
	}
	ada.post("/stock/TEST-ONE/adjust", "quantity", "-500", "reason", "gone", "confirm", "yes").want(t, http.StatusSeeOther)
	ada.get("/stock/TEST-ONE").want(t, http.StatusOK, "Nothing was done. Not so many are free")
	for _, wrong := range []string{"", "0", "x", "1.5", "99999999999", "-1"} {
		ada.post("/stock/TEST-ONE/receive", "quantity", wrong, "reference", "PO-2", "confirm", "yes").want(t, http.StatusUnprocessableEntity)
	}
}

// Without its entry nothing is done, and no entry is ever changed.
func TestTrailComesFirst(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	ada := o.as(signin.Admin)
	ada.post("/stock/TEST-ONE/receive", "quantity", "20", "reference", "PO-1", "confirm", "yes").want(t, http.StatusSeeOther)
	for _, sql := range []string{
		`update operator_acts set actor = 'somebody else'`, `delete from operator_acts`, `truncate operator_acts cascade`,
		`update operator_act_outcomes set outcome = 'failed'`, `delete from operator_act_outcomes`,
	} {
		if _, err := o.pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "only added to") {
			t.Errorf("%s: %v, want it refused", sql, err)
		}
	}
	if _, err := o.pool.Exec(context.WithoutCancel(t.Context()), `alter table operator_acts add constraint full_disk check (id < 2)`); err != nil {
		t.Fatal(err)
	}
	ada.post("/orders/"+order.ID.String()+"/cancel", "reason", "r", "confirm", "yes").want(t, http.StatusServiceUnavailable)
	if n := o.number(`select count(*) from orders where status = 'cancelled'`); n != 0 {
		t.Error("the order is cancelled, and nobody knows by whom")
	}
}
