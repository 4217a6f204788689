package function_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/order-analytics"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func TestConforms(t *testing.T) {
	t.Parallel()
	for _, kind := range events.Catalog() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			stagetest.Conform(t, stagetest.Stage{New: function.New, Accepts: kind.Type, Observes: true})
		})
	}
}

// run starts the function on a database of its own.
func run(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	pool = postgrestest.New(t)
	url = stagetest.Run(t, function.New(), map[string]string{"DATABASE_URL": pool.Config().ConnString()})
	return url, pool
}

// happenAt sets the time of everything that has happened to an order.
func happenAt(t *testing.T, pool *pgxpool.Pool, order stagetest.Order, at time.Time) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `update order_events set occurred_at = $2 where order_id = $1`, order.ID, at); err != nil {
		t.Fatal(err)
	}
}

func deliver(t *testing.T, url string, order stagetest.Order, eventType string) {
	t.Helper()
	if status, body := order.Deliver(t, url, eventType); status != http.StatusOK {
		t.Errorf("%s answered %d %s, want 200", eventType, status, body)
	}
}

// figure is one figure of one minute, all shards together.
type figure struct {
	Minute            time.Time
	Metric, Dimension string
	Value             int64
}

func figures(t *testing.T, pool *pgxpool.Pool) []figure {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select minute, metric, dimension, sum(value)::bigint as value
		from analytics_minutes group by minute, metric, dimension order by minute, metric, dimension`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[figure])
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Minute = all[i].Minute.UTC()
	}
	return all
}

func TestCountsInTheMinuteInWhichItHappened(t *testing.T) {
	t.Parallel()
	url, pool := run(t)
	shipped, cancelled := stagetest.Place(t, pool, events.StatusShipped), stagetest.Place(t, pool, events.StatusCancelled)
	first := time.Date(2025, 12, 31, 23, 59, 59, 999999000, time.UTC)
	second := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	happenAt(t, pool, shipped, first)
	happenAt(t, pool, cancelled, second)
	for _, eventType := range []string{events.TypeOrderShipped, events.TypeInventoryUpdated, events.TypePaymentVerified, events.TypeOrderPlaced} {
		deliver(t, url, shipped, eventType)
	}
	deliver(t, url, cancelled, events.TypeOrderCancelled)
	deliver(t, url, cancelled, events.TypeOrderPlaced)
	minute := first.Truncate(time.Minute)
	want := []figure{
		{minute, "items_sold", stagetest.SKUOne, 2},
		{minute, "items_sold", stagetest.SKUTwo, 1},
		{minute, "orders_placed", "", 1},
		{minute, "orders_shipped", "", 1},
		{minute, "revenue", "EUR", 3300},
		{second, "orders_cancelled", "customer_request", 1},
		{second, "orders_placed", "", 1},
	}
	if diff := cmp.Diff(want, figures(t, pool)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

// Many orders of one minute, each event delivered three times at once: every
// figure is exact, and nobody ran into a deadlock.
func TestExactUnderConcurrentReplays(t *testing.T) {
	t.Parallel()
	const orders, copies = 60, 3
	url, pool := run(t)
	at := time.Date(2026, 5, 1, 12, 30, 15, 0, time.UTC)
	var group sync.WaitGroup
	for range orders {
		order := stagetest.Place(t, pool, events.StatusShipped)
		happenAt(t, pool, order, at)
		for range copies {
			for _, eventType := range []string{events.TypeOrderPlaced, events.TypeOrderShipped} {
				group.Go(func() { deliver(t, url, order, eventType) })
			}
		}
	}
	group.Wait()
	minute := at.Truncate(time.Minute)
	want := []figure{
		{minute, "items_sold", stagetest.SKUOne, 2 * orders},
		{minute, "items_sold", stagetest.SKUTwo, orders},
		{minute, "orders_placed", "", orders},
		{minute, "orders_shipped", "", orders},
		{minute, "revenue", "EUR", 3300 * orders},
	}
	if diff := cmp.Diff(want, figures(t, pool)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	wantFold(t, pool)
}

// Counts are added in the order of their key, and not in that of the event: whoever
// waits for the first count holds nothing that who has it could wait for.
func TestCountsAreLockedInTheOrderOfTheirKey(t *testing.T) {
	t.Parallel()
	url, pool := run(t)
	order := stagetest.Place(t, pool, events.StatusShipped)
	at := time.Date(2026, 5, 1, 12, 30, 15, 0, time.UTC)
	happenAt(t, pool, order, at)
	if _, err := pool.Exec(t.Context(), `insert into analytics_minutes (minute, metric, dimension, shard, value)
		select date_trunc('minute', $1::timestamptz), c.metric, c.dimension, shard, 0
		from (values ('orders_shipped', ''), ('revenue', 'EUR'), ('items_sold', 'TEST-TWO'), ('items_sold', 'TEST-ONE')) c (metric, dimension),
		     generate_series(0, 15) shard`, at); err != nil {
		t.Fatal(err)
	}
	const lock = `select from analytics_minutes where metric = $1 and dimension = $2 for update `
	other, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(context.WithoutCancel(t.Context()))
	if _, err := other.Exec(t.Context(), lock, "items_sold", stagetest.SKUOne); err != nil {
		t.Fatal(err)
	}
	var delivery sync.WaitGroup
	delivery.Go(func() { deliver(t, url, order, events.TypeOrderShipped) })
	stagetest.AwaitBlocked(t, pool)
	for metric, dimension := range map[string]string{"items_sold": stagetest.SKUTwo, "orders_shipped": "", "revenue": "EUR"} {
		if _, err := other.Exec(t.Context(), lock+"nowait", metric, dimension); err != nil {
			t.Errorf("the function waits for the first count, and holds %s %s: %v", metric, dimension, err)
			break // the transaction is over
		}
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	delivery.Wait()
	deliver(t, url, order, events.TypeOrderPlaced)
	wantFold(t, pool)
}

// wantFold checks the figures as the audit does, against the events.
func wantFold(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	all, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, one := range all {
		if one.Name != "analytics_are_the_fold_of_events" {
			continue
		}
		checked++
		violations, err := invariants.Check(t.Context(), pool, one)
		if err != nil || len(violations) > 0 {
			t.Errorf("%s %v (%v)", one.Text, violations, err)
		}
	}
	if checked != 1 {
		t.Errorf("checked %d invariants, want the one of the figures", checked)
	}
}

// The orders of one minute are spread over the rows that share a count.
func TestCountsAreSpreadOverShards(t *testing.T) {
	t.Parallel()
	url, pool := run(t)
	for range 64 {
		order := stagetest.Place(t, pool, events.StatusPlaced)
		happenAt(t, pool, order, time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC))
		deliver(t, url, order, events.TypeOrderPlaced)
	}
	var used, least, most int
	err := pool.QueryRow(t.Context(), `select count(*), min(shard), max(shard) from analytics_minutes`).Scan(&used, &least, &most)
	if err != nil || used < 8 || least < 0 || most > 15 {
		t.Errorf("64 orders used %d shards from %d to %d (%v), want at least 8 within 0 to 15", used, least, most, err)
	}
}
