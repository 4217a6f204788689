package stage_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// TestAskLearnsThatTheOrderMoved cancels an order while its stage talks to the
// outside world: the stage must ask again, knowing it, and must not apply.
func TestAskLearnsThatTheOrderMoved(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	var asked []events.Status
	var late int
	rule := stage.Step[events.OrderPlaced, stage.None]{
		Ask: func(ctx context.Context, in stage.In[events.OrderPlaced]) (stage.None, error) {
			asked = append(asked, in.Status)
			return stage.None{}, cancelOnce(ctx, pool, order)
		},
		Apply: func(context.Context, pgx.Tx, stage.In[events.OrderPlaced], stage.None) (events.Data, error) {
			t.Error("the rule was applied to a cancelled order")
			return nil, nil //nolint:nilnil // a stage that names no next event
		},
		Late: func(context.Context, pgx.Tx, stage.In[events.OrderPlaced], stage.None) error {
			late++
			return nil
		},
	}
	function := stage.New("payment-verification", stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) {
		return []stage.Rule{rule}, nil
	}))
	sink := stagetest.NewSink(t)
	url := stagetest.Run(t, function, map[string]string{"DATABASE_URL": pool.Config().ConnString(), "K_SINK": sink.URL()})
	if status, body := order.Deliver(t, url, events.TypeOrderPlaced); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	if diff := cmp.Diff([]events.Status{events.StatusPlaced, events.StatusCancelled}, asked); diff != "" {
		t.Errorf("statuses that Ask was told (-want +got):\n%s", diff)
	}
	if late != 1 || len(sink.Sent()) != 0 {
		t.Errorf("Late ran %d times and %d events were sent, want 1 and 0", late, len(sink.Sent()))
	}
}

func cancelOnce(ctx context.Context, pool *pgxpool.Pool, order stagetest.Order) error {
	_, err := pool.Exec(ctx, `update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`, order.ID)
	return err
}

// TestLockHoldsTheOrder lets a second delivery of the same event come while the
// first is in its transaction: it waits, and then finds the event handled.
func TestLockHoldsTheOrder(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	first, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback(context.Background()) //nolint:errcheck // it is committed, if all goes well
	if _, err := orderlog.Lock(t.Context(), first, order.ID, "payment-verification", "order-placed"); err != nil {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() {
		second <- pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := orderlog.Lock(t.Context(), tx, order.ID, "payment-verification", "order-placed")
			return err
		})
	}()
	stagetest.AwaitBlocked(t, pool)
	entry := orderlog.Entry{OrderID: order.ID, Source: "payment-verification", Cause: "order-placed"}
	if err := orderlog.Append(t.Context(), first, entry); err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, orderlog.ErrHandled) {
		t.Errorf("the second delivery's Lock() = %v, want ErrHandled", err)
	}
}
