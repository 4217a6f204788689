package orderstory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderstory"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// noon is when the test orders are placed; what happens to them follows, a second
// after the other.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

type world struct {
	t     *testing.T
	pool  *pgxpool.Pool
	order stagetest.Order
}

// place makes an order that has come to a status: its events are at noon and each
// ten seconds after, and who only watches has handled each in between.
func place(t *testing.T, status events.Status) *world {
	t.Helper()
	w := &world{t: t, pool: postgrestest.New(t)}
	w.order = stagetest.Place(t, w.pool, status)
	w.exec(`update orders set placed_at = $2 where id = $1`, noon)
	w.exec(`update order_events e set published_at = now(), occurred_at = $2::timestamptz + make_interval(secs => 10 * (
		select count(*) from order_events f where f.order_id = e.order_id and f.position < e.position)) where order_id = $1`, noon)
	for i, reader := range []string{"customer-notification", "order-analytics"} {
		w.exec(`insert into order_events (order_id, name, source, cause, occurred_at)
			select order_id, name || '#' || $2, $2, name, occurred_at + make_interval(secs => $3::int) from order_events where order_id = $1 and type is not null`, reader, i+1)
	}
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, append([]any{w.order.ID}, args...)...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// shipped adds what the functions have written about a shipped order. The
// provider's clock is an hour slow.
func shipped(t *testing.T) *world {
	t.Helper()
	w := place(t, events.StatusShipped)
	w.exec(`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, captured_at)
		values ($1, 'pay_1', 'captured', 3300, 'EUR', $2, $3)`, second(-3590), second(-3570))
	w.exec(`insert into reservations select order_id, sku, quantity, 'shipped' from order_lines where order_id = $1`)
	w.exec(`insert into shipments values ($1, 'Post', 'T1', 'labels/1.pdf', 'h', $2)`, second(30))
	w.exec(`insert into notifications (order_id, change, state, attempts, uncertain, claimed_at, message_id, sent_at)
		values ($1, 'order-placed', 'sent', 3, 1, $2, 'm1', $3), ($1, 'order-shipped', 'sent', 1, 0, $4, 'm2', $5)`, second(11), second(14), second(32), second(33))
	return w
}

func (w *world) tell(at time.Time) orderstory.Story {
	w.t.Helper()
	story, err := orderstory.Tell(w.t.Context(), w.pool, w.order.Number, at, deadletter.Addresses{"order-analytics": "http://127.0.0.1:8104"})
	if err != nil {
		w.t.Fatal(err)
	}
	return story
}

// told is a story's steps as lines.
func told(story orderstory.Story) []string {
	var lines []string
	for _, step := range story.Steps {
		line := fmt.Sprintf("%+d %s, %s: %s", int(step.At.Sub(noon).Seconds()), step.By, step.Cause, step.Text)
		if step.Unexplained != "" {
			line += " ! " + step.Unexplained
		}
		lines = append(lines, line)
	}
	return lines
}

func wantTold(t *testing.T, story orderstory.Story, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, told(story)); diff != "" {
		t.Errorf("story (-want +got):\n%s", diff)
	}
}

func TestAWholeLife(t *testing.T) {
	t.Parallel()
	story := shipped(t).tell(time.Time{})
	wantTold(t, story,
		"+0 the customer, : order-placed",
		"+1 customer-notification, order-placed: handled order-placed",
		"+2 order-analytics, order-placed: handled order-placed",
		"+10 payment-verification, order-placed: payment-verified",
		"+10 payment-verification, order-placed: payment: EUR 33.00 held as pay_1, at 11:00:10.000 by the provider's clock",
		"+11 customer-notification, payment-verified: handled payment-verified",
		"+12 order-analytics, payment-verified: handled payment-verified",
		"+14 customer-notification, payment-verified: mail about order-placed: sent as m1, at attempt 3, of 1 earlier ones nobody knows how they ended",
		"+20 inventory-update, payment-verified: inventory-updated",
		"+20 inventory-update, payment-verified: units: 2 TEST-ONE, 1 TEST-TWO reserved",
		"+21 customer-notification, inventory-updated: handled inventory-updated",
		"+22 order-analytics, inventory-updated: handled inventory-updated",
		"+30 shipment-preparation, inventory-updated: order-shipped",
		"+30 shipment-preparation, inventory-updated: payment: EUR 33.00 captured, at 11:00:30.000 by the provider's clock",
		"+30 shipment-preparation, inventory-updated: units: 2 TEST-ONE, 1 TEST-TWO shipped",
		"+30 shipment-preparation, inventory-updated: parcel: Post T1, label labels/1.pdf",
		"+31 customer-notification, order-shipped: handled order-shipped",
		"+32 order-analytics, order-shipped: handled order-shipped",
		"+33 customer-notification, order-shipped: mail about order-shipped: sent as m2",
	)
	if story.Effects != 18 || story.Explained != 18 {
		t.Errorf("%d effects, %d explained, want 18 of each", story.Effects, story.Explained)
	}
	if because := story.Because("order-shipped"); len(because) != 3 {
		t.Errorf("because of order-shipped: %+v, want three steps", because)
	}
	want := orderstory.State{
		Status: "shipped", Payment: "captured", Units: "2 TEST-ONE, 1 TEST-TWO shipped", Parcel: "Post T1",
		Mails: map[string]string{"order-placed": "sent", "order-shipped": "sent"},
	}
	if diff := cmp.Diff(want, story.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestAsItWas(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	for at, want := range map[int]orderstory.State{
		0:  {Status: "placed", Waiting: map[string][]string{"order-placed": {"payment-verification", "customer-notification", "order-analytics"}}},
		1:  {Status: "placed", Waiting: map[string][]string{"order-placed": {"payment-verification", "order-analytics"}}},
		9:  {Status: "placed", Waiting: map[string][]string{"order-placed": {"payment-verification"}}},
		13: {Status: "payment_verified", Payment: "authorised", Waiting: map[string][]string{"payment-verified": {"inventory-update"}}},
		25: {Status: "inventory_updated", Payment: "authorised", Units: "2 TEST-ONE, 1 TEST-TWO reserved", Mails: map[string]string{"order-placed": "sent"},
			Waiting: map[string][]string{"inventory-updated": {"shipment-preparation"}}},
		32: {Status: "shipped", Payment: "captured", Units: "2 TEST-ONE, 1 TEST-TWO shipped", Parcel: "Post T1", Mails: map[string]string{"order-placed": "sent"}},
	} {
		story := w.tell(second(at))
		if diff := cmp.Diff(want, story.State); diff != "" {
			t.Errorf("state after %d s (-want +got):\n%s", at, diff)
		}
		if story.Effects != story.Explained || !story.At.Equal(second(at)) {
			t.Errorf("after %d s: %d of %d effects explained, at %s", at, story.Explained, story.Effects, story.At)
		}
	}
	whole := told(w.tell(time.Time{}))
	for at := range 40 {
		some := told(w.tell(second(at)))
		if diff := cmp.Diff(whole[:len(some)], some); diff != "" {
			t.Errorf("what was told after %d s isn't the beginning of what is told now:\n%s", at, diff)
		}
	}
	if _, err := orderstory.Tell(t.Context(), w.pool, w.order.ID.String(), second(-1), nil); !errors.Is(err, orderstory.ErrNotYet) {
		t.Errorf("Tell() of before it was placed = %v, want ErrNotYet", err)
	}
}

// A database's clock may jump back, as when another takes over.
func TestNothingIsToldBeforeItsCause(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	w.exec(`update notifications set sent_at = $2 where order_id = $1 and change = 'order-shipped'`, second(3))
	steps := told(w.tell(time.Time{}))
	want := "+30 customer-notification, order-shipped: mail about order-shipped: sent as m2"
	if !slices.Contains(steps, want) || slices.Index(steps, want) < slices.Index(steps, "+30 shipment-preparation, inventory-updated: order-shipped") {
		t.Errorf("%q isn't told after its cause, but:\n%s", want, strings.Join(steps, "\n"))
	}
}

func TestNoOrder(t *testing.T) {
	t.Parallel()
	w := place(t, events.StatusPlaced)
	for _, order := range []string{"", "OF-NONE", "0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70"} {
		if _, err := orderstory.Tell(t.Context(), w.pool, order, time.Time{}, nil); !errors.Is(err, orderstory.ErrNoOrder) {
			t.Errorf("Tell(%q) = %v, want ErrNoOrder", order, err)
		}
	}
	if story, err := orderstory.Tell(t.Context(), w.pool, w.order.ID.String(), time.Time{}, nil); err != nil || story.Number != w.order.Number {
		t.Errorf("Tell() by id = %s, %v", story.Number, err)
	}
}

// TestWhatHasNoCauseIsSaid breaks one thing at a time.
func TestWhatHasNoCauseIsSaid(t *testing.T) {
	t.Parallel()
	const never, unhandled = "no such event has happened to the order", "the function hasn't handled this event"
	for name, test := range map[string]struct{ change, what, why string }{
		"an event because of none":        {`update order_events set cause = 'never' where order_id = $1 and name = 'order-shipped'`, "order-shipped", never},
		"an event because of a later one": {`update order_events set cause = 'order-shipped' where order_id = $1 and name = 'payment-verified'`, "payment-verified", never},
		"a function of its own accord":    {`update order_events set cause = null where order_id = $1 and name = 'inventory-updated'`, "inventory-updated", "a function does nothing of its own accord"},
		"an event that isn't one's own":   {`update order_events set source = 'storefront', cause = null where order_id = $1 and name = 'payment-verified'`, "payment-verified", "the function doesn't send this event"},
		"a function that doesn't read it": {`update order_events set source = 'order-recovery' where order_id = $1 and name = 'order-placed#order-analytics'`, "handled order-placed: the order had moved on", "the function doesn't read this event"},
		"money that nobody has asked for": {`update order_events set source = 'storefront', cause = null where order_id = $1 and name = 'payment-verified'`, "payment: EUR 33.00 held as pay_1, at 11:00:10.000 by the provider's clock", unhandled},
		"a parcel without a delivery":     {`update order_events set source = 'storefront', cause = null where order_id = $1 and name = 'order-shipped'`, "parcel: Post T1, label labels/1.pdf", unhandled},
		"units without a delivery":        {`update order_events set source = 'storefront', cause = null where order_id = $1 and name = 'inventory-updated'`, "units: 2 TEST-ONE, 1 TEST-TWO reserved", unhandled},
		"a mail of what never happened":   {`insert into notifications (order_id, change, state, claimed_at, message_id, sent_at) values ($1, 'order-cancelled', 'sent', now(), 'm', now())`, "mail about order-cancelled: sent as m", never},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shipped(t)
			w.exec(test.change)
			story := w.tell(time.Time{})
			why := ""
			for _, step := range story.Steps {
				if step.Text == test.what {
					why = step.Unexplained
				}
			}
			if why != test.why && !strings.HasPrefix(why, test.why) || story.Explained >= story.Effects {
				t.Errorf("%q is said to be without a cause: %q, want %q; %d of %d explained:\n%s",
					test.what, why, test.why, story.Explained, story.Effects, strings.Join(told(story), "\n"))
			}
		})
	}
}

// cancelled adds to an order that its customer has cancelled what order-cancellation
// has written about it.
func cancelled(t *testing.T) *world {
	t.Helper()
	w := place(t, events.StatusCancelled)
	w.exec(`insert into order_events (order_id, name, source, cause, occurred_at) values
		($1, 'order-cancelled#order-cancellation', 'order-cancellation', 'order-cancelled', $2),
		($1, 'order-placed#payment-verification', 'payment-verification', 'order-placed', $3)`, second(13), second(15))
	return w
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	history := []string{
		"+0 the customer, : order-placed",
		"+1 customer-notification, order-placed: handled order-placed",
		"+2 order-analytics, order-placed: handled order-placed",
		"+10 the customer, : order-cancelled: customer_request",
		"+11 customer-notification, order-cancelled: handled order-cancelled",
		"+12 order-analytics, order-cancelled: handled order-cancelled",
		"+13 order-cancellation, order-cancelled: handled order-cancelled",
	}
	late := "+15 payment-verification, order-placed: handled order-placed: the order had moved on"
	for name, test := range map[string]struct {
		changes []string
		more    []string
		payment string
	}{
		"before anything": {nil, []string{late}, ""},
		"while it was being paid for": {
			[]string{`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, closed_at) values ($1, 'pay_1', 'voided', 3300, 'EUR', '2026-01-02T12:00:05Z', '2026-01-02T12:00:06Z')`},
			[]string{
				"+13 order-cancellation, order-cancelled: payment: EUR 33.00 held as pay_1, at 12:00:05.000 by the provider's clock",
				"+13 order-cancellation, order-cancelled: payment: EUR 33.00 voided, at 12:00:06.000 by the provider's clock", late,
			}, "voided",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cancelled(t)
			for _, change := range test.changes {
				w.exec(change)
			}
			story := w.tell(time.Time{})
			wantTold(t, story, append(append([]string{}, history...), test.more...)...)
			if story.Effects != story.Explained || story.State.Status != "cancelled" || story.State.Payment != test.payment {
				t.Errorf("%d of %d explained, state %+v", story.Explained, story.Effects, story.State)
			}
		})
	}
}

// The payment can end in more ways than by the customer.
func TestPaymentsThatFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status  events.Status
		changes []string
		want    []string
	}{
		"declined": {events.StatusPlaced, []string{
			`insert into order_events (order_id, name, source, cause, type, data, occurred_at, published_at)
				select $1, 'order-cancelled', 'payment-verification', 'order-placed', 'orderflow.order.cancelled.v1', data || '{"reason": "payment_declined"}', '2026-01-02T12:00:10Z', now() from order_events where order_id = $1 and name = 'order-placed'`,
			`update orders set status = 'cancelled', cancel_reason = 'payment_declined' where id = $1`,
			`insert into payments (order_id, provider_id, state, amount, currency, decline_code, closed_at) values ($1, 'pay_1', 'declined', 3300, 'EUR', 'card_declined', '2026-01-02T12:00:11Z')`,
		}, []string{
			"+10 payment-verification, order-placed: order-cancelled: payment_declined",
			"+10 payment-verification, order-placed: payment: EUR 33.00 declined (card_declined), at 12:00:11.000 by the provider's clock",
		}},
		"expired": {events.StatusInventoryUpdated, []string{
			`insert into order_events (order_id, name, source, cause, type, data, occurred_at, published_at)
				select $1, 'order-cancelled', 'shipment-preparation', 'inventory-updated', 'orderflow.order.cancelled.v1', data || '{"reason": "payment_expired"}', '2026-01-02T12:00:30Z', now() from order_events where order_id = $1 and name = 'order-placed'`,
			`insert into order_events (order_id, name, source, cause, occurred_at) values ($1, 'order-cancelled#order-cancellation', 'order-cancellation', 'order-cancelled', '2026-01-02T12:00:40Z')`,
			`update orders set status = 'cancelled', cancel_reason = 'payment_expired' where id = $1`,
			`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, closed_at) values ($1, 'pay_1', 'voided', 3300, 'EUR', '2026-01-02T12:00:05Z', '2026-01-02T12:00:25Z')`,
			`insert into reservations select order_id, sku, quantity, 'released' from order_lines where order_id = $1`,
		}, []string{
			"+10 payment-verification, order-placed: payment: EUR 33.00 held as pay_1, at 12:00:05.000 by the provider's clock",
			"+20 inventory-update, payment-verified: units: 2 TEST-ONE, 1 TEST-TWO reserved",
			"+30 shipment-preparation, inventory-updated: order-cancelled: payment_expired",
			"+30 shipment-preparation, inventory-updated: payment: EUR 33.00 voided, at 12:00:25.000 by the provider's clock",
			"+40 order-cancellation, order-cancelled: units: 2 TEST-ONE, 1 TEST-TWO released",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := place(t, test.status)
			for _, change := range test.changes {
				w.exec(change)
			}
			story := w.tell(time.Time{})
			all := strings.Join(told(story), "\n") + "\n"
			for _, line := range test.want {
				if !strings.Contains(all, line+"\n") {
					t.Errorf("%q isn't told, but:\n%s", line, all)
				}
			}
			if story.Effects != story.Explained {
				t.Errorf("%d of %d effects explained:\n%s", story.Explained, story.Effects, all)
			}
		})
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	w.exec(`insert into dead_letters (event_id, event_source, event_type, error_dest, error_code, error_data, event, times, first_at, last_at) values
		($1::uuid || '/order-placed', 's', 'orderflow.order.placed.v1', 'http://127.0.0.1:8104/', '503', E'no database\n', '', 2, $2, $3)`, second(5), second(50))
	w.exec(`insert into dead_letters (event_id, event_source, event_type, subject, error_dest, event, first_at, last_at) values
		('1', 's', 'other', $1::uuid, 'http://x.y.svc/', '', $2, $2)`, second(60))
	w.exec(`insert into dead_letter_acts (letter_id, action, actor, reason, data, was, times, began_at, ended_at, outcome, error)
		select id, 'redrive', 'ada', 'r', 'd', 'open', 1, $2::timestamptz, $2::timestamptz, 'failed', 'down' from dead_letters where subject = '' and $1::uuid is not null`, second(70))
	var got []string
	story := w.tell(time.Time{})
	for _, step := range story.Steps {
		if step.Kind == orderstory.KindRefused || step.Kind == orderstory.KindLetter {
			got = append(got, fmt.Sprintf("%+d %s, %s: %s", int(step.At.Sub(noon).Seconds()), step.By, step.Cause, step.Text))
		}
	}
	want := []string{
		"+5 order-analytics, order-placed: dead letter 1: order-placed refused 2 times, last at 2026-01-02 12:00:50: 503 no database",
		"+60 x, : dead letter 2: other refused",
		"+70 operator ada, : dead letter 1: redrive of order-placed with other data (r), failed: down",
	}
	if diff := cmp.Diff(want, got); diff != "" || story.Effects != 18 {
		t.Errorf("%d effects, and trouble (-want +got):\n%s", story.Effects, diff)
	}
}

// What somebody has changed by hand is told, with who and why, and isn't taken for a
// function's doing.
func TestWhatWasDoneByHand(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	before := w.tell(time.Time{})
	w.exec(`with told as (select set_config('orderflow.actor', 'ada', true), set_config('orderflow.reason', 'a jar was broken', true) where $1::uuid is not null)
		update payments set refunded_amount = 800 from told`)
	w.exec(`update reservations set quantity = 1 where order_id = $1 and sku = 'TEST-ONE'`)
	after := w.tell(time.Time{})
	var got []string
	for _, step := range after.Steps {
		if !step.Effect && (step.Kind == orderstory.KindPayment || step.Kind == orderstory.KindUnits) {
			by, _, _ := strings.Cut(step.By, " user ")
			got = append(got, by+": "+step.Text)
		}
	}
	want := []string{
		"operator ada: payment: EUR 8.00 refund (a jar was broken)",
		"database: units: 1 TEST-ONE correction, from reserved to available",
		"database: units: 1 TEST-ONE correction, from shipped to reserved",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || after.Effects != before.Effects || after.Explained != after.Effects {
		t.Errorf("%d effects, before %d, explained %d; by hand (-want +got):\n%s", after.Effects, before.Effects, after.Explained, diff)
	}
}

func TestNoPersonalDataIsTold(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	text, err := json.Marshal(w.tell(time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	var name, email, street string
	if err := w.pool.QueryRow(t.Context(), `select name, email, line1 from order_contacts`).Scan(&name, &email, &street); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{name, email, street} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the story has %q", secret)
		}
	}
}

// Each return has its own cause, and who took it back is told.
func TestReturned(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	first := w.order.Data(events.TypeOrderReturned)
	w.order.Happen(t, w.pool, first)
	second := events.OrderReturned{
		OrderID: w.order.ID.String(), Number: w.order.Number, ReturnNumber: 2, Reason: events.ReturnDamaged,
		Lines:  []events.ReturnedLine{{SKU: stagetest.SKUTwo, Quantity: 1}},
		Refund: events.Money{Amount: 800, Currency: "EUR"}, Total: w.order.Total,
	}
	w.order.Happen(t, w.pool, second)
	w.exec(`insert into order_acts (order_id, action, event, reference, reason, actor)
		values ($1, 'take_back', 'order-returned/1', 'RMA-1', '', 'ada'), ($1, 'take_back', 'order-returned/2', 'RMA-2', 'cracked', 'bob')`)
	w.exec(`update order_events set occurred_at = $2::timestamptz + make_interval(secs => split_part(name, '/', 2)::int) where order_id = $1 and name like 'order-returned/%'`, time.Date(2026, 1, 2, 12, 2, 0, 0, time.UTC))
	carryOut := func(event, change string) {
		w.exec(`insert into order_events (order_id, name, source, cause, occurred_at) values ($1, $2 || '#order-cancellation', 'order-cancellation', $2, $3)`,
			event, time.Date(2026, 1, 2, 12, 3, 0, 0, time.UTC))
		w.exec(change + ` from (select set_config('orderflow.cause', '` + event + `', true)) c where order_id = $1`)
	}
	carryOut("order-returned/1", `update payments set refunded_amount = 1250`)
	w.exec(`update reservations set returned = 1 from (select set_config('orderflow.cause', 'order-returned/1', true)) c where order_id = $1 and sku = 'TEST-ONE'`)
	story := w.tell(time.Time{})
	text := strings.Join(told(story), "\n")
	for _, want := range []string{
		"operator ada", "order-returned/1: not_wanted, 1 TEST-ONE, EUR 12.50 to be refunded, as RMA-1",
		"order-returned/2: damaged, 1 TEST-TWO not for sale, EUR 8.00 to be refunded, as RMA-2 (cracked)",
		"payment: EUR 12.50 refunded", "units: 1 TEST-ONE for sale again",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it isn't told that %q:\n%s", want, text)
		}
	}
	if story.State.Status != "shipped" || story.State.Payment != "captured, EUR 12.50 refunded" || !slices.Contains(story.State.Waiting["order-returned/2"], "order-cancellation") {
		t.Errorf("state = %+v", story.State)
	}
	if len(story.Because("order-returned/1")) != 3 || story.Effects != story.Explained {
		t.Errorf("%d of %d effects explained, because of the first return %+v", story.Explained, story.Effects, story.Because("order-returned/1"))
	}
}
