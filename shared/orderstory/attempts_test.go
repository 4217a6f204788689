package orderstory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/orderstory"
)

// Each attempt at moving money stands in the story, with what came of it as far as it
// was known at the moment, and needs a cause as any effect does.
func TestAttemptsAreTold(t *testing.T) {
	t.Parallel()
	w := shipped(t)
	before := w.tell(time.Time{})
	w.exec(`insert into payment_attempts (order_id, step, key, request_hash, amount, currency, source, cause, started_at, ended_at, outcome, asked, failure)
		select $1, a.step, 'k', sha256('x'), 3300, 'EUR', a.source, a.cause, $2::timestamptz + a.began * interval '1 s', $2::timestamptz + a.ended * interval '1 s',
			a.outcome, a.asked, a.failure
		from (values ('authorise', 'payment-verification', 'order-placed', 1, 6.25, 'unknown', false, 'timeout'),
			('authorise', 'payment-verification', 'order-placed', 7, 7.5, 'authorised', true, null),
			('capture', 'shipment-preparation', 'inventory-updated', 27, null, null, false, null),
			('capture', 'shipment-preparation', 'inventory-updated', 28, 29, 'captured', false, null),
			('release', 'order-cancellation', 'order-cancelled', 30, 31, 'refused', false, 'conflict')
		) as a (step, source, cause, began, ended, outcome, asked, failure)`, second(0))
	story := w.tell(time.Time{})
	want := []string{
		"+1 payment-verification, order-placed: asks the provider to authorise EUR 33.00, key k: nobody knows (timeout) after 5.250 s",
		"+7 payment-verification, order-placed: asks the provider to authorise EUR 33.00, key k: authorised after 0.500 s, as it turned out when asked; nothing was to be moved",
		"+27 shipment-preparation, inventory-updated: asks the provider to capture EUR 33.00, key k: no answer is on record",
		"+28 shipment-preparation, inventory-updated: asks the provider to capture EUR 33.00, key k: captured after 1.000 s",
		"+30 order-cancellation, order-cancelled: asks the provider to release EUR 33.00, key k: refused (conflict) after 1.000 s ! no such event has happened to the order",
	}
	if diff := cmp.Diff(want, attempts(story)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if story.Effects != before.Effects+5 || story.Explained != before.Explained+4 {
		t.Errorf("%d effects, %d explained, before %d and %d: want 5 more, one of them for no event of the order's",
			story.Effects, story.Explained, before.Effects, before.Explained)
	}
	early := attempts(w.tell(second(3)))
	if len(early) != 1 || !strings.HasSuffix(early[0], "no answer is on record") {
		t.Errorf("told before it was known: %q", early)
	}
}

func attempts(story orderstory.Story) []string {
	var all []string
	for i, line := range told(story) {
		if story.Steps[i].Kind == orderstory.KindAttempt {
			all = append(all, line)
		}
	}
	return all
}
