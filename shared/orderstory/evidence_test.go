package orderstory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/orderstory"
)

// What providers have told stands in the story, with the event that it is about, and
// counts as nobody's effect.
func TestProvidersTell(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	w.exec(`update notifications set by_evidence = true where order_id = $1 and change = 'order-placed'`)
	w.exec(`insert into mail_events (sg_event_id, order_id, change, kind, message_id, reason, at, recorded_at) values
		('e1', $1, 'order-placed', 'processed', 'm1', '', $2, $3), ('e2', $1, 'order-shipped', 'bounce', 'm2', '5.1.1 Invalid Address', $2, $4)`,
		second(-3600), second(13), second(5)) // before its cause, by a clock that is wrong
	w.exec(`insert into payment_events (event_id, order_id, type, provider_id, status, reason, amount, currency, at, recorded_at) values
		('evt_1', $1, 'charge.dispute.created', 'pay_1', 'needs_response', 'fraudulent', 3300, 'EUR', $2, $3)`, second(40), second(50))
	story := w.tell(time.Time{})
	var got []string
	for i, line := range told(story) {
		if story.Steps[i].Kind == orderstory.KindEvidence || strings.Contains(line, "webhook") {
			got = append(got, line)
		}
	}
	want := []string{
		"+13 SendGrid, payment-verified: mail about order-placed, m1: processed, at 2026-01-02 11:00:00 by its clock",
		"+14 customer-notification, payment-verified: mail about order-placed: sent as m1, which only SendGrid's webhook told, at attempt 3, of 1 earlier ones nobody knows how they ended",
		"+30 SendGrid, order-shipped: mail about order-shipped, m2: bounce (5.1.1 Invalid Address), at 2026-01-02 11:00:00 by its clock",
		"+50 Stripe, : payment pay_1: charge.dispute.created (needs_response fraudulent EUR 33.00), at 2026-01-02 12:00:40 by its clock",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if story.Effects != 18 || story.Explained != 18 {
		t.Errorf("%d effects, %d explained, want 18 of each", story.Effects, story.Explained)
	}
	if before := told(w.tell(second(12))); slices.ContainsFunc(before, func(line string) bool { return strings.Contains(line, "SendGrid") }) {
		t.Errorf("told before it was known: %q", before)
	}
}

// A hold that is gone ends an order because of what Stripe told, and not because of
// an event.
func TestAProviderEndsAnOrder(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	w.exec(`update order_events set name = 'order-cancelled', source = 'provider-webhooks', cause = null, type = 'orderflow.order.cancelled.v1',
		data = data || '{"reason": "payment_expired"}' where order_id = $1 and name = 'order-shipped'`)
	for _, step := range w.tell(time.Time{}).Steps {
		if step.By == "provider-webhooks" {
			if step.Unexplained != "" || step.Effect || step.Text != "order-cancelled: payment_expired" {
				t.Errorf("told as %+v", step)
			}
			return
		}
	}
	t.Error("the cancellation isn't told")
}
