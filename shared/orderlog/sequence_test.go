package orderlog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// An order takes any sequence of moves: each is made exactly where the table allows
// it from where the order then stands, and one that isn't changes nothing.
func TestAnySequenceOfMoves(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		order := stagetest.Place(t, pool, events.StatusPlaced)
		stands, why := events.StatusPlaced, events.Reason("")
		for _, to := range rapid.SliceOfN(rapid.SampledFrom(events.Statuses()), 1, 12).Draw(rt, "moves") {
			reason := events.Reason("")
			if to == events.StatusCancelled {
				reason = rapid.SampledFrom(events.Reasons()).Draw(rt, "reason")
			}
			err := inTx(t, pool, func(tx pgx.Tx) error { return orderlog.Move(t.Context(), tx, order.ID, to, reason, time.Now()) })
			switch {
			case events.CanMove(stands, to) && err == nil:
				stands, why = to, reason
			case events.CanMove(stands, to) || !errors.Is(err, orderlog.ErrIllegalMove):
				rt.Fatalf("Move() from %s to %s = %v; the table allows it: %t", stands, to, err, events.CanMove(stands, to))
			}
			var status events.Status
			var told events.Reason
			if err := pool.QueryRow(t.Context(), `select status, coalesce(cancel_reason, '') from orders where id = $1`, order.ID).Scan(&status, &told); err != nil {
				rt.Fatal(err)
			}
			if status != stands || told != why {
				rt.Fatalf("the order is %s for %q after a move to %s, want %s for %q", status, told, to, stands, why)
			}
		}
	})
}
