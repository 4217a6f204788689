package function

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{
		New: New, Accepts: events.TypeInventoryUpdated, Next: "order-shipped",
		Environment: func(tb testing.TB) map[string]string { return environment(sandboxtest.Start(tb), testS3(tb)) },
		Prepare: func(tb testing.TB, pool *pgxpool.Pool, environment map[string]string, order stagetest.Order) {
			authorise(tb, pool, sandboxtest.Connect(environment), order, stagetest.PaymentMethod)
		},
	})
}

func TestShips(t *testing.T) {
	t.Parallel()
	s := open(t, testS3(t))
	order := s.order(stagetest.PaymentMethod)
	s.deliver(order, ok)
	s.wantShipped(order)

	pdf := s.s3.label(t, labelKey(order.ID))
	sum := sha256.Sum256(pdf)
	tracking := trackingNumber(order.ID)
	want := carrier + " " + tracking + " " + labelKey(order.ID) + " " + hex.EncodeToString(sum[:])
	if got := s.ask(`select carrier || ' ' || tracking_number || ' ' || label_key || ' ' || encode(label_sha256, 'hex') from shipments`); got != want {
		t.Errorf("shipment = %q, want %q", got, want)
	}
	if got := s.ask(`select string_agg(concat_ws(' ', sku, on_hand, reserved, shipped), ', ' order by sku) from stock`); got != "TEST-ONE 98 0 2, TEST-TWO 99 0 1" {
		t.Errorf("stock = %q", got)
	}
	sent := s.sink.Sent()
	data, err := events.Decode(sent[0].Event.Type(), sent[0].Event.Data())
	if err != nil {
		t.Fatal(err)
	}
	event := events.OrderShipped{
		OrderID: order.ID.String(), Number: order.Number, Lines: order.Lines, Total: order.Total, Carrier: carrier, TrackingNumber: tracking,
	}
	if diff := cmp.Diff(events.Data(event), data); diff != "" || len(sent) != 1 {
		t.Errorf("%d events were sent; the first (-want +got):\n%s", len(sent), diff)
	}
	if bytes.Contains(sent[0].Event.Data(), []byte("Ada")) {
		t.Errorf("the event tells the customer's name: %s", sent[0].Event.Data())
	}
	wantText(t, pdf, order.Number, "Ada Example", "1 Test Street", "12345 Testville", "2 × First", "1 × Second")
}

// wantText looks for texts in a PDF.
func wantText(tb testing.TB, pdf []byte, texts ...string) {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), "pdftotext", "-layout", "-", "-")
	command.Stdin = bytes.NewReader(pdf)
	out, err := command.Output()
	if err != nil {
		tb.Fatalf("pdftotext is needed to read a label back (Debian's poppler-utils): %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			tb.Errorf("the label doesn't say %q:\n%s", text, out)
		}
	}
}

// A capture that is declined, or a hold that has run out, cancels the order and
// leaves no label.
func TestNoMoneyNoParcel(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]struct {
		status string
		state  payment.State
	}{
		"pm_card_chargeCustomerFail":   {"cancelled payment_declined", payment.StateDeclined},
		"pm_card_authorisationExpires": {"cancelled payment_expired", payment.StateVoided},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := open(t, testS3(t))
			order := s.order(method)
			s.deliver(order, ok)
			s.deliver(order, ok)
			if got := s.status(order); got != want.status {
				t.Errorf("order is %s, want %s", got, want.status)
			}
			if theirs, ours := s.money(order); theirs != want.state || ours != string(want.state) {
				t.Errorf("payment is %s, and by our books %s, want %s", theirs, ours, want.state)
			}
			s.wantNothingShipped(order)
			if diff := cmp.Diff([]string{order.ID.String() + "/order-cancelled"}, s.sink.IDs()); diff != "" {
				t.Errorf("ids of the events sent (-want +got):\n%s", diff)
			}
		})
	}
}

// While S3 is down nothing is captured, and once it is back all is well.
func TestS3Down(t *testing.T) {
	t.Parallel()
	own, err := newS3Server(testS3(t).program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, own)
	order := s.order(stagetest.PaymentMethod)
	s.deliver(order, unavailable)
	if got, want := s.provider.Kinds(t, order.ID.String()), []payment.Kind{payment.KindAuthorise}; !slices.Equal(got, want) {
		t.Errorf("movements = %v, want %v", got, want)
	}
	if err := own.start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := own.stop(); err != nil {
			t.Error(err)
		}
	}()
	s.deliver(order, ok)
	s.wantShipped(order)
}

// Where the database fails, before the capture or after, nothing is shipped and the
// delivery comes again; the money is captured once.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"order_lines", "order_contacts", "reservations", "shipments"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := open(t, testS3(t))
			order := s.order(stagetest.PaymentMethod)
			s.exec(`alter table ` + table + ` rename to gone`)
			s.deliver(order, unavailable)
			s.exec(`alter table gone rename to ` + table)
			if got := s.status(order); got != string(events.StatusInventoryUpdated) {
				t.Errorf("status = %s, want that nothing has changed", got)
			}
			s.deliver(order, ok)
			s.wantShipped(order)
			want := []payment.Kind{payment.KindAuthorise, payment.KindCapture}
			if got := s.provider.Kinds(t, order.ID.String()); !slices.Equal(got, want) {
				t.Errorf("movements = %v, want %v", got, want)
			}
		})
	}
}

// A label that can't be taken back keeps the cancellation waiting.
func TestLabelCannotBeRemoved(t *testing.T) {
	t.Parallel()
	own, err := newS3Server(testS3(t).program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, own)
	order := s.order(stagetest.PaymentMethod)
	s.cancel(order)
	s.deliver(order, unavailable)
}

// Whatever the provider does, before or after it captures: the delivery is
// repeated, and the money is captured once.
func TestProviderFails(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]string{
		"error before the effect": `{"before":{"path":"/v1/payments/*/capture","status":500,"count":1}}`,
		"cut before the effect":   `{"before":{"path":"/v1/payments/*/capture","drop":true,"count":1}}`,
		"error after the effect":  `{"after":{"path":"/v1/payments/*/capture","status":503,"count":1}}`,
		"cut after the effect":    `{"after":{"path":"/v1/payments/*/capture","drop":true,"count":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, testS3(t))
			order := s.order(stagetest.PaymentMethod)
			s.provider.Fault(t, plan)
			s.deliver(order, unavailable)
			s.deliver(order, ok)
			s.wantShipped(order)
			want := []payment.Kind{payment.KindAuthorise, payment.KindCapture}
			if got := s.provider.Kinds(t, order.ID.String()); !slices.Equal(got, want) {
				t.Errorf("movements = %v, want %v", got, want)
			}
		})
	}
}

// What isn't true by our books isn't shipped, and no money is captured for it.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *shop, order *stagetest.Order)
		want   int
	}{
		"more than was ordered": {func(_ *shop, order *stagetest.Order) {
			order.Lines = slices.Clone(order.Lines)
			order.Lines[0].Quantity++
			order.Total.Amount += order.Lines[0].UnitPrice.Amount
		}, rejected},
		"another total": {func(s *shop, order *stagetest.Order) {
			s.exec(`update orders set total_amount = 1 where id = $1`, order.ID)
		}, rejected},
		"no address": {func(s *shop, order *stagetest.Order) {
			s.exec(`delete from order_contacts where order_id = $1`, order.ID)
		}, rejected},
		"not held": {func(s *shop, order *stagetest.Order) {
			s.exec(`update reservations set state = 'released' where order_id = $1 and sku = $2`, order.ID, stagetest.SKUOne)
		}, unavailable},
		"less is held": {func(s *shop, order *stagetest.Order) {
			s.exec(`update reservations set quantity = 1 where order_id = $1 and sku = $2`, order.ID, stagetest.SKUOne)
		}, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, testS3(t))
			order := s.order(stagetest.PaymentMethod)
			test.change(s, &order)
			before := stagetest.Snapshot(t, s.pool)
			s.deliver(order, test.want)
			if diff := cmp.Diff(before, stagetest.Snapshot(t, s.pool)); diff != "" {
				t.Errorf("the database has changed (-before +after):\n%s", diff)
			}
			s.wantNothingShipped(order)
			if theirs, _ := s.money(order); theirs != payment.StateAuthorised {
				t.Errorf("payment is %s, want authorised", theirs)
			}
		})
	}
}

// An order that was never paid for can't be shipped, whatever is delivered.
func TestNeverAuthorised(t *testing.T) {
	t.Parallel()
	s := open(t, testS3(t))
	order := stagetest.Place(t, s.pool, events.StatusInventoryUpdated)
	s.exec(`update stock set reserved = reserved + quantity from order_lines l where l.order_id = $1 and l.sku = stock.sku`, order.ID)
	s.exec(`insert into reservations (order_id, sku, quantity, state) select order_id, sku, quantity, 'held' from order_lines where order_id = $1`, order.ID)
	s.deliver(order, rejected)
	if got := s.status(order); got != "inventory_updated" {
		t.Errorf("order is %s, want it where it was", got)
	}
}
