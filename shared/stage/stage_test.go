package stage_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/awsauth/awstest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// reserving is about the smallest stage there is.
func reserving() *stage.Function {
	return stage.New("inventory-update", stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) {
		return []stage.Rule{stage.Step[events.PaymentVerified, stage.None]{
			Apply: func(_ context.Context, _ pgx.Tx, in stage.In[events.PaymentVerified], _ stage.None) (events.Data, error) {
				return events.InventoryUpdated{OrderID: in.Data.OrderID, Number: in.Data.Number, Lines: in.Data.Lines, Total: in.Data.Total}, nil
			},
		}}, nil
	}))
}

// watching is about the smallest observer.
func watching() *stage.Function {
	return stage.New("order-analytics", stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) {
		return []stage.Rule{stage.Observer[events.OrderShipped, stage.None]{
			Apply: func(ctx context.Context, tx pgx.Tx, in stage.In[events.OrderShipped], _ stage.None) error {
				_, err := tx.Exec(ctx, `insert into analytics_minutes (minute, metric, shard, value)
					values (date_trunc('minute', $1::timestamptz), 'orders_shipped', 0, 1)
					on conflict (minute, metric, dimension, shard) do update set value = analytics_minutes.value + 1`, in.OccurredAt)
				return err
			},
		}}, nil
	}))
}

func TestStepConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{New: reserving, Accepts: events.TypePaymentVerified, Next: "inventory-updated"})
}

func TestObserverConforms(t *testing.T) {
	t.Parallel()
	stagetest.Conform(t, stagetest.Stage{New: watching, Accepts: events.TypeOrderShipped, Observes: true})
}

// What Knative does with a status is fixed in its data plane: it retries 404,
// 408, 409, 429 and 5xx, and takes the rest for final.
func TestStatusOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, http.StatusOK},
		{errors.New("connection reset"), http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{stage.Reject(errors.New("no such order")), http.StatusUnprocessableEntity},
		{fmt.Errorf("apply: %w", stage.Reject(errors.New("no such order"))), http.StatusUnprocessableEntity},
	} {
		if got := stage.StatusOf(test.err); got != test.want {
			t.Errorf("StatusOf(%v) = %d, want %d", test.err, got, test.want)
		}
	}
}

// func's server closes a connection 30 s after the request (its
// WriteTimeout, in func-go's http/service.go), and Knative hears of no status then. A delivery ends
// before that by as much as it takes to roll back and answer on a busy machine.
func TestDeliveryEndsBeforeTheServerCutsItOff(t *testing.T) {
	t.Parallel()
	const writeTimeout, room = 30 * time.Second, 8 * time.Second
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusPlaced)
	asked := make(chan time.Duration, 1)
	rule := stage.Observer[events.OrderPlaced, stage.None]{
		Ask: func(ctx context.Context, _ stage.In[events.OrderPlaced]) (stage.None, error) {
			end, _ := ctx.Deadline() // of no deadline, the zero time
			asked <- time.Until(end)
			return stage.None{}, nil
		},
		Apply: func(context.Context, pgx.Tx, stage.In[events.OrderPlaced], stage.None) error { return nil },
	}
	function := stage.New("order-analytics", stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) {
		return []stage.Rule{rule}, nil
	}))
	url := stagetest.Run(t, function, map[string]string{"DATABASE_URL": pool.Config().ConnString()})
	if status, body := order.Deliver(t, url, events.TypeOrderPlaced); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	if left := <-asked; left <= 0 || left > writeTimeout-room {
		t.Errorf("a delivery has %v when it asks, want it to end %v before the %v of func's server", left, room, writeTimeout)
	}
}

func TestNotStartedAnswers503(t *testing.T) {
	t.Parallel()
	function := reserving()
	if err := function.Start(t.Context(), map[string]string{}); err != nil {
		t.Fatal(err)
	}
	ready, err := function.Ready(t.Context())
	if ready || err == nil || err.Error() != "inventory-update can't start: environment: DATABASE_URL is not set" {
		t.Errorf("Ready() = %t, %v, want it to name DATABASE_URL", ready, err)
	}
}

// A function finds its settings where they refer to, and one that finds nothing
// there looks again. Not parallel, as the account sets variables of the process.
func TestSecretsOfSecretsManager(t *testing.T) {
	pool := postgrestest.New(t)
	manager := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "the role's"}).Secrets(t, map[string]awstest.Secret{})
	function := stage.New("inventory-update", func(ctx context.Context, env stage.Env) (http.Handler, error) {
		_, err := env.Pool.Exec(ctx, "select")
		return http.NotFoundHandler(), err
	})
	var starting sync.WaitGroup
	defer starting.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	starting.Go(func() {
		if err := function.Start(ctx, map[string]string{"DATABASE_URL": "secretsmanager:orderflow/postgres#url"}); err != nil {
			t.Error(err)
		}
	})
	await := func(want string) {
		t.Helper()
		for range time.Tick(10 * time.Millisecond) {
			ready, err := function.Ready(t.Context())
			if got := fmt.Sprint(ready, " ", err); got == want {
				return
			} else if err != nil && err.Error() != "inventory-update can't start: "+nowhere {
				t.Fatalf("Ready() = %s, want %s", got, want)
			}
		}
	}
	await("false inventory-update can't start: " + nowhere)
	manager.Put("orderflow/postgres", awstest.Secret{SecretString: fmt.Sprintf("{%q: %q}", "url", pool.Config().ConnString())})
	await("true <nil>")
	if err := function.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

const nowhere = "environment: DATABASE_URL is in secretsmanager:orderflow/postgres#url: " +
	"AWS answers ResourceNotFoundException: Secrets Manager can't find the specified secret."
