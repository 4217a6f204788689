package orderlog_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func inTx(t *testing.T, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), pool, f)
}

func TestAppendOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	entry := orderlog.Entry{
		OrderID: order.ID, Name: "payment-verified", Source: "payment-verification", Cause: "order-placed",
		Data: order.Data(events.TypePaymentVerified), OccurredAt: time.Now(),
	}
	write := func(e orderlog.Entry) error {
		return inTx(t, pool, func(tx pgx.Tx) error { return orderlog.Append(t.Context(), tx, e) })
	}
	if err := write(entry); err != nil {
		t.Fatal(err)
	}
	sameCause := entry
	sameCause.Name, sameCause.Data = "order-cancelled", order.Data(events.TypeOrderCancelled)
	sameEvent := entry
	sameEvent.Source = "somebody-else"
	silent := entry
	silent.Name, silent.Data = "", nil
	for name, again := range map[string]orderlog.Entry{
		"the same": entry, "another event for the same cause": sameCause, "the same event by another": sameEvent, "silence for the same cause": silent,
	} {
		if err := write(again); !errors.Is(err, orderlog.ErrHandled) {
			t.Errorf("Append() of %s = %v, want ErrHandled", name, err)
		}
	}
}

func TestMoveFollowsTheTable(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	for _, from := range events.Statuses() {
		for _, to := range events.Statuses() {
			order := stagetest.Place(t, pool, from)
			var reason events.Reason
			if to == events.StatusCancelled {
				reason = events.ReasonOutOfStock
			}
			err := inTx(t, pool, func(tx pgx.Tx) error {
				return orderlog.Move(t.Context(), tx, order.ID, to, reason, time.Now())
			})
			if legal := events.CanMove(from, to); legal != (err == nil) || (!legal && !errors.Is(err, orderlog.ErrIllegalMove)) {
				t.Errorf("Move() from %s to %s = %v; the table allows it: %t", from, to, err, legal)
			}
		}
	}
}

// An order that moves is waited for anew: what was sent again for the sake of its
// last move says nothing of the next one.
func TestMoveForgetsResends(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order, other := stagetest.Place(t, pool, events.StatusPlaced), stagetest.Place(t, pool, events.StatusPlaced)
	if _, err := pool.Exec(t.Context(), `update orders set resends = 7, resend_after = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	err := inTx(t, pool, func(tx pgx.Tx) error {
		return orderlog.Move(t.Context(), tx, order.ID, events.StatusPaymentVerified, "", time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		order   stagetest.Order
		resends int
		waits   bool
	}{{order, 0, false}, {other, 7, true}} {
		var resends int
		var waits bool
		err := pool.QueryRow(t.Context(), `select resends, resend_after is not null from orders where id = $1`, test.order.ID).Scan(&resends, &waits)
		if err != nil || resends != test.resends || waits != test.waits {
			t.Errorf("order was sent again %d times and waits: %t (%v), want %d and %t", resends, waits, err, test.resends, test.waits)
		}
	}
}

func TestLockAndFind(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPaymentVerified)
	lock := func(id uuid.UUID, source, cause string) (status events.Status, err error) {
		err = inTx(t, pool, func(tx pgx.Tx) error {
			status, err = orderlog.Lock(t.Context(), tx, id, source, cause)
			return err
		})
		return status, err
	}
	if status, err := lock(order.ID, "inventory-update", "payment-verified"); err != nil || status != events.StatusPaymentVerified {
		t.Errorf("Lock() = %q, %v", status, err)
	}
	if _, err := lock(order.ID, "payment-verification", "order-placed"); !errors.Is(err, orderlog.ErrHandled) {
		t.Errorf("Lock() for what was handled = %v", err)
	}
	if _, err := lock(uuid.New(), "x", "y"); !errors.Is(err, orderlog.ErrNoOrder) {
		t.Errorf("Lock() of no order = %v", err)
	}
	standing, err := orderlog.Find(t.Context(), pool, order.ID, "payment-verification", "order-placed")
	if err != nil || standing.Written == nil {
		t.Fatalf("Find() = %+v, %v, want what payment-verification wrote", standing, err)
	}
	if diff := cmp.Diff(order.Data(events.TypePaymentVerified), standing.Written.Data); diff != "" {
		t.Errorf("Find() gives another event than was written:\n%s", diff)
	}
	if standing, err = orderlog.Find(t.Context(), pool, order.ID, "inventory-update", "payment-verified"); err != nil || standing.Written != nil {
		t.Errorf("Find() for what wasn't handled = %+v, %v", standing, err)
	}
	if _, err := orderlog.Find(t.Context(), pool, order.ID, "order-analytics", "order-shipped"); !errors.Is(err, orderlog.ErrNoEvent) {
		t.Errorf("Find() for what never happened = %v", err)
	}
	if _, err := orderlog.Find(t.Context(), pool, uuid.New(), "x", "order-placed"); !errors.Is(err, orderlog.ErrNoOrder) {
		t.Errorf("Find() of no order = %v", err)
	}
}

func TestCloudEvent(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	made, err := orderlog.Entry{
		OrderID: id, Name: "order-shipped", Source: "shipment-preparation", Cause: "inventory-updated", TraceParent: "00-aa-bb-01",
		Data: stagetest.Order{ID: id}.Data(events.TypeOrderShipped), OccurredAt: at,
	}.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"id": made.ID(), "type": made.Type(), "source": made.Source(), "subject": made.Subject(), "time": made.Time(),
		"schema": made.DataSchema(), "extensions": made.Extensions(), "content": made.DataContentType(),
	}
	want := map[string]any{
		"id": id.String() + "/order-shipped", "type": "orderflow.order.shipped.v1", "source": "/orderflow/shipment-preparation",
		"subject": id.String(), "time": at, "schema": "https://orderflow.example/schemas/order-shipped.v1.schema.json",
		"content": "application/json",
		"extensions": map[string]any{
			"partitionkey": id.String(), "causationid": id.String() + "/inventory-updated", "traceparent": "00-aa-bb-01",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CloudEvent() (-want +got):\n%s", diff)
	}
	if _, err := (orderlog.Entry{OrderID: id}).CloudEvent(); err == nil {
		t.Error("an entry that tells of nothing became an event")
	}
}

func newSink(t *testing.T, to *stagetest.Sink) *sink.Client {
	t.Helper()
	client, err := sink.NewClient(sink.Config{URL: to.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestPublishMarksAndAnnounces(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	listener, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Release()
	if _, err := listener.Exec(t.Context(), "listen "+orderlog.Channel); err != nil {
		t.Fatal(err)
	}
	publisher := orderlog.NewPublisher(pool, newSink(t, stagetest.NewSink(t)), slog.New(slog.DiscardHandler))
	entry := orderlog.Entry{OrderID: order.ID, Name: "order-placed", Source: "storefront", Data: order.Data(events.TypeOrderPlaced), OccurredAt: time.Now()}
	if err := publisher.Publish(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	publisher.Changed(uuid.New())
	publisher.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	notification, err := listener.Conn().WaitForNotification(ctx)
	if err != nil || !strings.Contains(notification.Payload, order.ID.String()) {
		t.Errorf("announcement = %+v, %v, want one with the order's id", notification, err)
	}
	var published bool
	if err := pool.QueryRow(t.Context(), `select published_at is not null from order_events where order_id = $1`, order.ID).Scan(&published); err != nil || !published {
		t.Errorf("published = %t, %v", published, err)
	}
}

type refusing struct{ err error }

func (r refusing) Send(context.Context, string, event.Event) error { return r.err }

func TestPublishFailsWithTheSink(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	down := errors.New("down")
	publisher := orderlog.NewPublisher(pool, refusing{down}, slog.New(slog.DiscardHandler))
	defer publisher.Close()
	err := publisher.Publish(t.Context(), orderlog.Entry{OrderID: order.ID, Name: "order-placed", Data: order.Data(events.TypeOrderPlaced)})
	if !errors.Is(err, down) {
		t.Errorf("Publish() = %v, want the sink's error", err)
	}
}
