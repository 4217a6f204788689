package orderlog_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// An order can be cancelled once, wherever it is on its way, and not when it has
// come to its end.
func TestCancel(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	for status, want := range map[events.Status]error{
		events.StatusPlaced: nil, events.StatusPaymentVerified: nil, events.StatusInventoryUpdated: nil,
		events.StatusShipped: orderlog.ErrIllegalMove, events.StatusCancelled: orderlog.ErrCancelled,
	} {
		order := stagetest.Place(t, pool, status)
		entry, err := orderlog.Cancel(t.Context(), pool, order.ID, "provider-webhooks", events.ReasonPaymentExpired, "00-aa-bb-01")
		if !errors.Is(err, want) {
			t.Errorf("Cancel() of an order that is %s = %v, want %v", status, err, want)
		}
		if want != nil {
			continue
		}
		told := events.OrderCancelled{
			OrderID: order.ID.String(), Number: order.Number, Reason: events.ReasonPaymentExpired, Lines: order.Lines, Total: order.Total,
		}
		if diff := cmp.Diff(events.Data(told), entry.Data); diff != "" || entry.Name != "order-cancelled" || entry.TraceParent != "00-aa-bb-01" {
			t.Errorf("Cancel() tells %+v (-want +got):\n%s", entry, diff)
		}
		var published, handled bool
		err = pool.QueryRow(t.Context(), `select published_at is not null, cause is not null from order_events
			where order_id = $1 and name = 'order-cancelled' and source = 'provider-webhooks'`, order.ID).Scan(&published, &handled)
		if err != nil || published || handled {
			t.Errorf("in the history: published %t, because of something %t (%v)", published, handled, err)
		}
	}
	if _, err := orderlog.Cancel(t.Context(), pool, uuid.New(), "storefront", events.ReasonCustomerRequest, ""); !errors.Is(err, orderlog.ErrNoOrder) {
		t.Errorf("Cancel() of no order = %v", err)
	}
}

func TestCancelOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	var cancelled atomic.Int32
	var group sync.WaitGroup
	for _, source := range []string{"storefront", "provider-webhooks", "storefront", "provider-webhooks"} {
		group.Go(func() {
			_, err := orderlog.Cancel(t.Context(), pool, order.ID, source, events.ReasonCustomerRequest, "")
			switch {
			case err == nil:
				cancelled.Add(1)
			case !errors.Is(err, orderlog.ErrCancelled):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if cancelled.Load() != 1 {
		t.Errorf("cancelled %d times", cancelled.Load())
	}
}
