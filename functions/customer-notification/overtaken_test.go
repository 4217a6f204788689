package function_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// A confirmation that was held up is not sent behind the mail that the order is
// cancelled, nor ever after, and that is on record.
func TestConfirmationOfACancelledOrder(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.inject(fault.Plan{Before: &fault.Fault{Status: http.StatusTooManyRequests, Count: 1}})
	w.deliver(order, http.StatusServiceUnavailable)
	w.cancel(order)
	w.tell(order, events.TypeOrderCancelled, http.StatusOK)
	w.deliver(order, http.StatusOK)
	w.exec(`delete from order_events where order_id = $1 and source = 'customer-notification'`, order.ID)
	w.deliver(order, http.StatusOK)
	w.wantChanges(order, "order-cancelled")
	if got := w.row(order, "order-placed"); got.State != "superseded" || got.Attempts != 2 || got.LastError != "the order is cancelled" || got.RefusedFor != "" {
		t.Errorf("on record is %+v", got)
	}
	w.wantLawful()
}

// A confirmation that comes before the mail of the cancellation, to an order that
// is cancelled already, isn't sent either: it isn't true any more.
func TestConfirmationBeforeTheCancellationIsTold(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.cancel(order)
	w.deliver(order, http.StatusOK)
	w.wantChanges(order)
	w.tell(order, events.TypeOrderCancelled, http.StatusOK)
	w.wantChanges(order, "order-cancelled")
	w.wantLawful()
}

func TestConfirmationOfAShippedOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, second string
		want          []string
		state         string
	}{
		"in time": {events.TypePaymentVerified, events.TypeOrderShipped, []string{"order-placed", "order-shipped"}, "sent"},
		"late":    {events.TypeOrderShipped, events.TypePaymentVerified, []string{"order-shipped"}, "superseded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			order := stagetest.Place(t, w.pool, events.StatusShipped)
			w.tell(order, test.first, http.StatusOK)
			w.tell(order, test.second, http.StatusOK)
			w.wantChanges(order, test.want...)
			if got := w.row(order, "order-placed"); got.State != test.state {
				t.Errorf("the confirmation is on record as %+v", got)
			}
			w.wantLawful()
		})
	}
}

// A shipped order whose customer hasn't heard of that is confirmed: another
// mail's failure is no reason for silence.
func TestConfirmationWhileTheShipmentIsNotTold(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusShipped)
	w.inject(fault.Plan{Before: &fault.Fault{Status: http.StatusTooManyRequests, Count: 1}})
	w.tell(order, events.TypeOrderShipped, http.StatusServiceUnavailable)
	w.deliver(order, http.StatusOK)
	w.tell(order, events.TypeOrderShipped, http.StatusOK)
	w.wantChanges(order, "order-placed", "order-shipped")
	w.wantLawful()
}

// While SendGrid takes its time over a confirmation, the order is cancelled: the
// mail that tells of that waits.
func TestCancellationWaitsForTheConfirmation(t *testing.T) {
	t.Parallel()
	e := startEgress(t)
	w := start(t, map[string]string{"SENDGRID_HOST": e.url})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	answered := w.telling(order, events.TypePaymentVerified)
	held := <-e.calls
	w.cancel(order)
	if body := w.tell(order, events.TypeOrderCancelled, http.StatusServiceUnavailable); !strings.Contains(body, "confirmation is being sent") {
		t.Errorf("answered %q", body)
	}
	held <- w.through()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the confirmation was answered %d", status)
	}
	e.do(w.through())
	w.tell(order, events.TypeOrderCancelled, http.StatusOK)
	w.wantChanges(order, "order-placed", "order-cancelled")
	w.wantLawful()
}

// Whoever held a confirmation has died: the mail of the cancellation waits no
// longer than that claim lasts, and the confirmation isn't sent any more.
func TestCancellationWaitsForNoDead(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.exec(`insert into notifications (order_id, change, state, claimed_at) values ($1, 'order-placed', 'sending', clock_timestamp())`, order.ID)
	w.cancel(order)
	w.tell(order, events.TypeOrderCancelled, http.StatusServiceUnavailable)
	w.exec(`update notifications set claimed_at = clock_timestamp() - interval '27 seconds' where order_id = $1 and change = 'order-placed'`, order.ID)
	w.tell(order, events.TypeOrderCancelled, http.StatusOK)
	w.deliver(order, http.StatusOK)
	w.wantChanges(order, "order-cancelled")
	if got := w.row(order, "order-placed"); got.State != "superseded" || got.Uncertain != 1 {
		t.Errorf("on record is %+v, want that nobody knows of the first attempt", got)
	}
	w.wantLawful()
}
