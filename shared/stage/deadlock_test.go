package stage_test

import (
	"context"
	"sync"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// That no test sees a deadlock is worth something only if it would.
func TestADeadlockIsCounted(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	stagetest.Place(t, pool, events.StatusPlaced)
	var locked, group sync.WaitGroup
	locked.Add(2)
	for _, skus := range [][]string{{stagetest.SKUOne, stagetest.SKUTwo}, {stagetest.SKUTwo, stagetest.SKUOne}} {
		group.Go(func() {
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Error(err)
				locked.Done()
				return
			}
			defer tx.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // one of the two is broken
			if _, err := tx.Exec(t.Context(), `select from stock where sku = $1 for update`, skus[0]); err != nil {
				t.Error(err)
			}
			locked.Done()
			locked.Wait()
			_, _ = tx.Exec(t.Context(), `select from stock where sku = $1 for update`, skus[1])
		})
	}
	group.Wait()
	if deadlocks := stagetest.Deadlocks(t, pool); deadlocks != 1 {
		t.Errorf("%d deadlocks are counted, want 1", deadlocks)
	}
}
