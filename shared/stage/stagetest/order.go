package stagetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
)

// Order is an order in the test's database, with a history as if real
// functions had written it.
type Order struct {
	ID     uuid.UUID
	Number string
	Lines  []events.Line
	Total  events.Money
}

// The articles that the test orders are about. Stock has 100 of each.
const (
	SKUOne = "TEST-ONE"
	SKUTwo = "TEST-TWO"
)

// PaymentMethod is what the test orders are paid with.
const PaymentMethod = "pm_card_visa"

// Place stores an order of two lines, 2 x EUR 12.50 and 1 x EUR 8.00, that has
// come to the given status: with lines, contact, and the events that led there.
// Rows that belong to single functions (payments, reservations, shipments) are
// the caller's to add.
func Place(tb testing.TB, pool *pgxpool.Pool, status events.Status) Order {
	tb.Helper()
	id := uuid.Must(uuid.NewV7())
	order := Order{
		ID: id, Number: "OF-" + strings.ToUpper(id.String()[24:29]) + "-" + strings.ToUpper(id.String()[29:34]),
		Lines: []events.Line{
			{SKU: SKUOne, Quantity: 2, UnitPrice: events.Money{Amount: 1250, Currency: "EUR"}},
			{SKU: SKUTwo, Quantity: 1, UnitPrice: events.Money{Amount: 800, Currency: "EUR"}},
		},
		Total: events.Money{Amount: 3300, Currency: "EUR"},
	}
	if err := pgx.BeginFunc(tb.Context(), pool, func(tx pgx.Tx) error { return order.store(tb.Context(), tx, status) }); err != nil {
		tb.Fatalf("place order: %v", err)
	}
	return order
}

func (o Order) store(ctx context.Context, tx pgx.Tx, status events.Status) error {
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`insert into products (sku, name, description, category, price_amount, currency)
		  values ($1, 'First', 'For tests', 'tests', 1250, 'EUR'), ($2, 'Second', 'For tests', 'tests', 800, 'EUR')
		  on conflict do nothing`, []any{SKUOne, SKUTwo}},
		{`insert into stock (sku, opening, on_hand) values ($1, 100, 100), ($2, 100, 100) on conflict do nothing`, []any{SKUOne, SKUTwo}},
	} {
		if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
			return err
		}
	}
	placed := events.OrderPlaced{OrderID: o.ID.String(), Number: o.Number, Lines: o.Lines, Total: o.Total}
	if err := demo.Place(ctx, tx, placed, PaymentMethod); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `update orders set status = $2, cancel_reason = $3 where id = $1`, o.ID, status, reasonFor(status)); err != nil {
		return err
	}
	return o.storeHistory(ctx, tx, status)
}

func reasonFor(status events.Status) *events.Reason {
	if status != events.StatusCancelled {
		return nil
	}
	reason := events.ReasonCustomerRequest
	return &reason
}

func (o Order) storeHistory(ctx context.Context, tx pgx.Tx, status events.Status) error {
	cause := ""
	for i, data := range o.history(status) {
		kind, _ := events.ByType(data.Type())
		entry := orderlog.Entry{
			OrderID: o.ID, Name: kind.Name, Source: kind.SentBy[0], Cause: cause, Data: data, OccurredAt: time.Now().UTC(),
		}
		if data.Type() == events.TypeOrderCancelled {
			entry.Cause = "" // its customer did that
		}
		cause = kind.Name
		if i == 0 {
			continue // placing has written it
		}
		if err := orderlog.Append(ctx, tx, entry); err != nil {
			return err
		}
	}
	return nil
}

// history is what has happened to an order in the given status. A cancelled
// one was cancelled by its customer as soon as it was placed.
func (o Order) history(status events.Status) []events.Data {
	if status == events.StatusCancelled {
		return []events.Data{o.Data(events.TypeOrderPlaced), o.Data(events.TypeOrderCancelled)}
	}
	var past []events.Data
	for _, kind := range events.Catalog() {
		if kind.Status == events.StatusCancelled || kind.Repeats {
			continue
		}
		past = append(past, o.Data(kind.Type))
		if kind.Status == status {
			break
		}
	}
	return past
}

// Data is the event of a type, as it is for this order.
func (o Order) Data(eventType string) events.Data {
	id := o.ID.String()
	switch eventType {
	case events.TypeOrderPlaced:
		return events.OrderPlaced{OrderID: id, Number: o.Number, Lines: o.Lines, Total: o.Total}
	case events.TypePaymentVerified:
		return events.PaymentVerified{OrderID: id, Number: o.Number, Lines: o.Lines, Total: o.Total, PaymentID: "pay_" + id}
	case events.TypeInventoryUpdated:
		return events.InventoryUpdated{OrderID: id, Number: o.Number, Lines: o.Lines, Total: o.Total}
	case events.TypeOrderShipped:
		return events.OrderShipped{
			OrderID: id, Number: o.Number, Lines: o.Lines, Total: o.Total, Carrier: "Test Post", TrackingNumber: "T" + id,
		}
	case events.TypeOrderReturned:
		return events.OrderReturned{
			OrderID: id, Number: o.Number, ReturnNumber: 1, Reason: events.ReturnNotWanted,
			Lines:  []events.ReturnedLine{{SKU: SKUOne, Quantity: 1, Restocked: true}},
			Refund: events.Money{Amount: 1250, Currency: "EUR"}, Total: o.Total,
		}
	default:
		return events.OrderCancelled{
			OrderID: id, Number: o.Number, Lines: o.Lines, Total: o.Total, Reason: events.ReasonCustomerRequest,
		}
	}
}

// Happen writes what an operator did into the order's history.
func (o Order) Happen(tb testing.TB, pool *pgxpool.Pool, data events.Data) {
	tb.Helper()
	kind, _ := events.ByType(data.Type())
	entry := orderlog.Entry{OrderID: o.ID, Name: events.NameOf(data), Source: kind.SentBy[0], Data: data, OccurredAt: time.Now().UTC()}
	if err := pgx.BeginFunc(tb.Context(), pool, func(tx pgx.Tx) error { return orderlog.Append(tb.Context(), tx, entry) }); err != nil {
		tb.Fatal(err)
	}
}

// Request is the delivery of the order's event of a type, as KafkaSource makes it.
func (o Order) Request(tb testing.TB, ctx context.Context, url, eventType string) *http.Request { //nolint:revive // ctx differs from tb's
	tb.Helper()
	return o.request(tb, ctx, url, o.Data(eventType))
}

func (o Order) request(tb testing.TB, ctx context.Context, url string, data events.Data) *http.Request { //nolint:revive // ctx differs from tb's
	tb.Helper()
	kind, known := events.ByType(data.Type())
	if !known {
		tb.Fatalf("no event of type %q", data.Type())
	}
	entry := orderlog.Entry{
		OrderID: o.ID, Name: events.NameOf(data), Source: kind.SentBy[0], Data: data, OccurredAt: time.Now().UTC(),
	}
	event, err := entry.CloudEvent()
	if err != nil {
		tb.Fatal(err)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, url, event)
	if err != nil {
		tb.Fatal(err)
	}
	return request
}

// Deliver makes one delivery and returns its status and body.
func (o Order) Deliver(tb testing.TB, url, eventType string) (int, string) {
	tb.Helper()
	return do(tb, o.Request(tb, tb.Context(), url, eventType))
}

// DeliverData delivers an event that says something else than Data.
func (o Order) DeliverData(tb testing.TB, url string, data events.Data) (int, string) {
	tb.Helper()
	return do(tb, o.request(tb, tb.Context(), url, data))
}

func do(tb testing.TB, request *http.Request) (int, string) {
	tb.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatalf("deliver: %v", err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end below
	body := &bytes.Buffer{}
	if _, err := io.Copy(body, response.Body); err != nil {
		tb.Fatalf("read answer: %v", err)
	}
	return response.StatusCode, body.String()
}
