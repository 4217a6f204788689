package function

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/order-cancellation/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment"
)

func TestRow(t *testing.T) {
	t.Parallel()
	order, at, code := uuid.New(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), "card_declined"
	got := row(order, payment.Payment{
		ID: "p1", State: payment.StateDeclined, Amount: events.Money{Amount: 5, Currency: "EUR"}, DeclineCode: code, ClosedAt: at,
	})
	want := store.ClosePaymentParams{
		OrderID: order, ProviderID: "p1", State: "declined", Amount: 5, Currency: "EUR", DeclineCode: &code, ClosedAt: &at,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}
