package local_test

import (
	"slices"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local"
)

const exampleOrder = "0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70"

func TestInvocation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ function, event, example, eventType, id string }{
		{"payment-verification", "", "order-placed", "orderflow.order.placed.v1", exampleOrder + "/order-placed"},
		{"inventory-update", "", "payment-verified", "orderflow.payment.verified.v1", exampleOrder + "/payment-verified"},
		{"order-cancellation", "", "order-cancelled", "orderflow.order.cancelled.v1", exampleOrder + "/order-cancelled"},
		{"order-analytics", "", "order-placed", "orderflow.order.placed.v1", exampleOrder + "/order-placed"},
		{"order-analytics", "order-shipped", "order-shipped", "orderflow.order.shipped.v1", exampleOrder + "/order-shipped"},
		{"dead-letter-intake", "", "", "orderflow.order.placed.v1", exampleOrder + "/order-placed"},
		{"order-recovery", "", "", "dev.knative.sources.ping", ""},
		{"storefront", "", "", "", ""},
	} {
		made, err := local.NewInvocation(root, test.function, test.event)
		if err != nil || made.Example != test.example || (made.Event == nil) != (test.eventType == "") {
			t.Errorf("NewInvocation(%s, %q) = %+v, %v", test.function, test.event, made, err)
			continue
		}
		if made.Event != nil && (made.Event.Type() != test.eventType || (test.id != "" && made.Event.ID() != test.id)) {
			t.Errorf("NewInvocation(%s, %q) is the event %s of type %s", test.function, test.event, made.Event.ID(), made.Event.Type())
		}
		if made.Event != nil && !slices.Contains(made.FuncArgs(), "--id="+made.Event.ID()) {
			t.Errorf("FuncArgs() = %q, without the event's id", made.FuncArgs())
		}
	}
	if _, err := local.NewInvocation(root, "inventory-update", "order-placed"); err == nil ||
		err.Error() != "inventory-update does not read order-placed, but: payment-verified" {
		t.Errorf("NewInvocation() with an event that the function doesn't read = %v", err)
	}
}
