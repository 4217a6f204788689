package function

import (
	"net/http"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

func (s *shop) cancel(order placed) answer {
	s.t.Helper()
	return s.post("/api/orders/"+order.ID.String()+"/cancel", "", "", "Authorization", "Bearer "+order.Token)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	for range 2 {
		got := s.cancel(order)
		view := decode[shownOrder](t, got.body)
		if got.status != http.StatusAccepted || view.Status != "cancelled" || view.CancelReason != "customer_request" || view.Cancellable {
			t.Errorf("cancel = %d %s, want 202 and cancelled", got.status, got.body)
		}
	}
	sent := s.sink.Sent()
	if len(sent) != 2 || sent[1].Sink != "order-cancelled" {
		t.Fatalf("%d events at the sink, want order-placed and order-cancelled", len(sent))
	}
	data, err := events.Decode(sent[1].Event.Type(), sent[1].Event.Data())
	if err != nil {
		t.Fatal(err)
	}
	told, ok := data.(events.OrderCancelled)
	if !ok || told.Reason != events.ReasonCustomerRequest || told.Total != order.Total || len(told.Lines) != 2 || told.Number != order.Number {
		t.Errorf("event tells %+v", data)
	}
}

func TestCancelWithoutKafka(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	w := s.watch(order.Links.Events, "")
	w.next()
	s.sink.SetDown(true)
	if got := s.cancel(order); got.status != http.StatusAccepted {
		t.Errorf("cancel = %d %s, want 202", got.status, got.body)
	}
	if got := w.next(); got.order.Status != "cancelled" {
		t.Errorf("who watches got %+v, want cancelled", got)
	}
	if count := s.count("select count(*) from order_events where name = 'order-cancelled' and published_at is null"); count != 1 {
		t.Errorf("%d cancellations wait to be sent, want 1", count)
	}
}

func TestCancelTooLate(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	for _, name := range []string{"payment-verified", "inventory-updated", "order-shipped"} {
		s.happen(order, name, false)
	}
	if got := s.cancel(order); got.status != http.StatusConflict {
		t.Errorf("cancel of a shipped order = %d %s, want 409", got.status, got.body)
	}
	if count := s.count("select count(*) from orders where status = 'shipped'"); count != 1 {
		t.Error("the order isn't shipped any more")
	}
}

func TestStrangersCancelNothing(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order, other := s.mustOrder(wanted), s.mustOrder(wanted)
	other.ID = order.ID
	if got := s.cancel(other); got.status != http.StatusNotFound {
		t.Errorf("cancel with another order's token = %d %s, want 404", got.status, got.body)
	}
	if count := s.count("select count(*) from orders where status = 'placed'"); count != 2 {
		t.Errorf("%d orders still placed, want 2", count)
	}
}

func TestCancelRaces(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for range 10 {
		order := s.mustOrder(wanted)
		s.happen(order, "payment-verified", false)
		s.happen(order, "inventory-updated", false)
		shipped, refused := s.race(order)
		view := decode[shownOrder](t, s.get(order.Links.Self).body)
		if want := map[bool]string{true: "shipped", false: "cancelled"}[shipped]; view.Status != want {
			t.Errorf("shipped %t, but the order is %s", shipped, view.Status)
		}
		if shipped != (refused > 0) {
			t.Errorf("shipped %t, but %d of 5 cancellations were refused", shipped, refused)
		}
		if count := s.count("select count(*) from order_events where order_id = $1 and name in ('order-shipped', 'order-cancelled')", order.ID); count != 1 {
			t.Errorf("%d ends in the history, want 1", count)
		}
	}
}

// race ships an order while five cancellations of it arrive.
func (s *shop) race(order placed) (shipped bool, refused int) {
	var all sync.WaitGroup
	statuses := make([]int, 5)
	for i := range statuses {
		all.Go(func() { statuses[i] = s.cancel(order).status })
	}
	all.Go(func() { shipped = s.ship(order) })
	all.Wait()
	for _, status := range statuses {
		switch status {
		case http.StatusConflict:
			refused++
		case http.StatusAccepted:
		default:
			s.t.Errorf("cancel = %d, want 202 or 409", status)
		}
	}
	return shipped, refused
}

func (s *shop) ship(order placed) bool {
	ctx := s.t.Context()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := orderlog.Lock(ctx, tx, order.ID, "test", ""); err != nil {
			return err
		}
		entry, _ := s.entry(order, "order-shipped")
		if err := orderlog.Move(ctx, tx, order.ID, events.StatusShipped, "", entry.OccurredAt); err != nil {
			return err
		}
		return orderlog.Append(ctx, tx, entry)
	}) == nil
}
