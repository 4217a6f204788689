package live_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/live"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// deaf is a hub that can't listen, and so has to look for itself.
func deaf(t *testing.T, pool *pgxpool.Pool) *live.Hub {
	t.Helper()
	refuse := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("refused") }
	hub := live.NewHub(pool, refuse, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	go hub.Run(ctx)
	t.Cleanup(func() {
		stop()
		<-hub.Stopped()
	})
	return hub
}

func wait(t *testing.T, news <-chan struct{}) {
	t.Helper()
	select {
	case <-news:
	case <-time.After(15 * time.Second):
		t.Fatal("no news in 15 s")
	}
}

func TestLookingInsteadOfListening(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	hub := deaf(t, pool)
	watched := stagetest.Place(t, pool, events.StatusPlaced)
	id := watched.ID
	news, leave := hub.Watch(id)
	wait(t, news) // what was there before it was watched
	const silence = `
		insert into order_events (order_id, name, source, cause, occurred_at)
		values ($1, 'order-placed#test', 'test', 'order-placed', now())`
	if _, err := pool.Exec(t.Context(), silence, id); err != nil {
		t.Fatal(err)
	}
	wait(t, news) // an entry that tells of no event is news as well
	leave()
	if count := hub.Watched(); count != 0 {
		t.Errorf("%d still watch, want none", count)
	}
}

// stuck is a client that takes the beginning of a response and no more.
type stuck struct {
	*httptest.ResponseRecorder
	takes     int
	deadlines []time.Time
}

func (s *stuck) SetReadDeadline(time.Time) error { return nil }

func (s *stuck) SetWriteDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

func (s *stuck) Write(p []byte) (int, error) {
	if s.takes--; s.takes < 0 {
		return 0, context.DeadlineExceeded
	}
	return s.ResponseRecorder.Write(p)
}

func TestSlowReadersAreDropped(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	hub := deaf(t, pool)
	watched := stagetest.Place(t, pool, events.StatusPlaced)
	id := watched.ID
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	streams := live.NewStreams(hub, order.NewBook(pool, nil), live.Pace{
		Heartbeat: time.Millisecond, WriteTimeout: time.Second, Grace: time.Hour, Now: func() time.Time { return now },
	})
	for takes := range 4 { // nothing; the opening; the order as well; a heartbeat as well
		client := &stuck{ResponseRecorder: httptest.NewRecorder(), takes: takes}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if err := streams.Serve(client, r, id, func(v order.View) any { return v }); err != nil {
			t.Errorf("Serve = %v", err)
		}
		if last := client.deadlines[len(client.deadlines)-1]; !last.Equal(now.Add(time.Second)) {
			t.Errorf("deadline %s, want a second from now", last)
		}
	}
	if count := hub.Watched(); count != 0 {
		t.Errorf("%d still watch, want none", count)
	}
}

func TestStreamOfNothing(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	streams := live.NewStreams(deaf(t, pool), order.NewBook(pool, nil), live.Pace{})
	recorder := httptest.NewRecorder()
	err := streams.Serve(recorder, httptest.NewRequest(http.MethodGet, "/", nil), uuid.Max, func(v order.View) any { return v })
	if !errors.Is(err, order.ErrNotFound) || recorder.Body.Len() > 0 {
		t.Errorf("Serve = %v, %s, want ErrNotFound with nothing written", err, recorder.Body)
	}
}
