package local

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
	"github.com/orderflow-project/orderflow/infra/local/supervisor"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
)

// paymentMethod is the test card that pays.
const paymentMethod = "pm_card_visa"

// bringOrder places the order that the examples are about, and has the
// functions take it to where the invocation's event has happened. What they
// leave behind, at the payment provider too, is then as in the shop.
func (s *System) bringOrder(ctx context.Context, invocation Invocation) error {
	s.plan.Step("placing the order of events/examples")
	conn, err := pgx.Connect(ctx, s.DatabaseURL())
	if err != nil {
		return fmt.Errorf("place order: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // all is committed
	if err := s.placeExample(ctx, conn); err != nil {
		return err
	}
	switch invocation.Example {
	case "":
		return standStill(ctx, conn)
	case "order-cancelled":
		if err := s.sellOut(ctx, conn); err != nil {
			return err
		}
	}
	if kind, _ := events.ByName(invocation.Example); kind.Repeats {
		return s.bringReturn(ctx, conn, invocation.Example)
	}
	if err := s.takeTo(ctx, invocation.Example); err != nil {
		return err
	}
	return s.tellAsTheExample(ctx, conn, invocation.Example)
}

// bringReturn has an operator take back what was shipped.
func (s *System) bringReturn(ctx context.Context, conn *pgx.Conn, name string) error {
	data, err := exampleData(s.plan.Root, name)
	if err != nil {
		return err
	}
	if err := s.takeTo(ctx, "order-shipped"); err != nil {
		return err
	}
	order, err := uuid.Parse(data.Order())
	if err != nil {
		return fmt.Errorf("example %s: %w", name, err)
	}
	entry := orderlog.Entry{OrderID: order, Name: events.NameOf(data), Source: "backoffice", Data: data, OccurredAt: time.Now().UTC()}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return orderlog.Append(ctx, tx, entry) })
}

// tellAsTheExample has the event that happened say what its example says: the id
// of the payment, the number of the parcel. Functions take no event that says
// anything else than the history.
func (s *System) tellAsTheExample(ctx context.Context, conn *pgx.Conn, name string) error {
	data, err := exampleData(s.plan.Root, name)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `update order_events set data = $3 where order_id = $1 and name = $2`, data.Order(), name, data); err != nil {
		return fmt.Errorf("tell %s as its example: %w", name, err)
	}
	return nil
}

func (s *System) placeExample(ctx context.Context, conn *pgx.Conn) error {
	data, err := exampleData(s.plan.Root, "order-placed")
	if err != nil {
		return err
	}
	placed, _ := data.(events.OrderPlaced)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return demo.Place(ctx, tx, placed, paymentMethod) })
}

// standStill makes the order one that was forgotten: what order-recovery is for.
func standStill(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{
		`update orders set placed_at = now() - interval '1 hour', updated_at = now() - interval '1 hour'`,
		`update order_events set occurred_at = now() - interval '1 hour'`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make order old: %w", err)
		}
	}
	return nil
}

// sellOut leaves as much in stock as the example of a cancelled order says.
func (s *System) sellOut(ctx context.Context, conn *pgx.Conn) error {
	data, err := exampleData(s.plan.Root, "order-cancelled")
	if err != nil {
		return err
	}
	cancelled, _ := data.(events.OrderCancelled)
	for _, short := range cancelled.Short {
		_, err := conn.Exec(ctx, `update stock set shipped = shipped + on_hand - $2, on_hand = $2 where sku = $1`, short.SKU, short.Available)
		if err != nil {
			return fmt.Errorf("sell out: %w", err)
		}
	}
	return nil
}

// takeTo delivers each event to the function that makes the next of it, until
// the named one has happened.
func (s *System) takeTo(ctx context.Context, name string) error {
	helpers, err := supervisor.New(supervisor.Options{RunDir: s.plan.path("run"), LogDir: s.plan.path("logs")})
	if err != nil {
		return err
	}
	defer helpers.Stop(context.WithoutCancel(ctx))
	walk := &System{plan: s.plan, supervisor: helpers}
	at, err := Example(s.plan.Root, "order-placed")
	for err == nil {
		kind, _ := events.ByType(at.Type())
		if kind.Name == name {
			return nil
		}
		at, err = walk.next(ctx, at, kind.ReadBy[0])
	}
	return fmt.Errorf("take the order to %s: %w", name, err)
}

// next has a function make the next event.
func (s *System) next(ctx context.Context, at event.Event, function string) (event.Event, error) {
	s.plan.Step("taking the order on: " + function)
	i := slices.IndexFunc(s.plan.functions, func(f manifest.Function) bool { return f.Name == function })
	if i < 0 {
		return at, fmt.Errorf("there is no function %q", function)
	}
	process, err := s.plan.unbound(s.plan.functions[i])
	if err != nil {
		return at, err
	}
	if err := s.startAndWait(ctx, process, "/health/readiness"); err != nil {
		return at, err
	}
	return call(ctx, s.plan.addresses.URL(function), at)
}

// call delivers an event and returns the one that comes as the answer.
func call(ctx context.Context, url string, sent event.Event) (event.Event, error) {
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, url, sent)
	if err != nil {
		return sent, fmt.Errorf("deliver %s: %w", sent.ID(), err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return sent, fmt.Errorf("deliver %s: %w", sent.ID(), err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return sent, fmt.Errorf("deliver %s: %s: %s", sent.ID(), response.Status, text)
	}
	next, err := cloudevents.NewEventFromHTTPResponse(response)
	if err != nil {
		return sent, fmt.Errorf("deliver %s: the answer is no event: %w", sent.ID(), err)
	}
	return *next, nil
}
