// Package live tells those who watch an order that something about it has
// changed. However many watch, a process listens on one connection.
package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/store"
)

// watchers are those who watch one order. position is the highest that any of
// them was woken for.
type watchers struct {
	position int64
	wake     map[chan struct{}]struct{}
}

// Hub spreads the news of orders.
type Hub struct {
	queries *store.Queries
	connect func(context.Context) (*pgx.Conn, error)
	logger  *slog.Logger
	stopped chan struct{}

	mu     sync.Mutex
	orders map[uuid.UUID]*watchers
}

// NewHub makes a hub that listens on a connection of its own, and polls db.
func NewHub(db store.DBTX, connect func(context.Context) (*pgx.Conn, error), logger *slog.Logger) *Hub {
	return &Hub{
		queries: store.New(db), connect: connect, logger: logger,
		stopped: make(chan struct{}), orders: map[uuid.UUID]*watchers{},
	}
}

// Run spreads news until ctx ends. Then it dismisses everyone who watches.
func (h *Hub) Run(ctx context.Context) {
	defer close(h.stopped)
	var work sync.WaitGroup
	work.Go(func() { h.listen(ctx) })
	work.Go(func() { h.poll(ctx) })
	work.Wait()
}

// Stopped is closed once there is no more news to come.
func (h *Hub) Stopped() <-chan struct{} { return h.stopped }

// Watch returns a channel that gets a value when there is news about an order.
// News that nobody has taken yet is not news again, so a slow watcher costs
// nothing and misses nothing. The caller ends the watch by calling stop.
func (h *Hub) Watch(order uuid.UUID) (news <-chan struct{}, stop func()) {
	wake := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.orders[order] == nil {
		h.orders[order] = &watchers{wake: map[chan struct{}]struct{}{}}
	}
	h.orders[order].wake[wake] = struct{}{}
	return wake, func() { h.leave(order, wake) }
}

func (h *Hub) leave(order uuid.UUID, wake chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.orders[order].wake, wake)
	if len(h.orders[order].wake) == 0 {
		delete(h.orders, order)
	}
}

// Watched counts those who watch.
func (h *Hub) Watched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, w := range h.orders {
		count += len(w.wake)
	}
	return count
}

func (h *Hub) announce(order uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.orders[order]; w != nil {
		w.announce()
	}
}

func (w *watchers) announce() {
	for wake := range w.wake {
		select {
		case wake <- struct{}{}:
		default: // it has yet to take the last news, and will then read this too
		}
	}
}

func (h *Hub) announceAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.orders {
		w.announce()
	}
}

// pollEvery is how late news can be that Postgres did not announce.
const pollEvery = 2 * time.Second

// poll is the safety net: announcements are best effort. One statement looks
// after everyone, and none is made while nobody watches.
func (h *Hub) poll(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.look(ctx)
		}
	}
}

func (h *Hub) look(ctx context.Context) {
	watched := h.watched()
	if len(watched) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	rows, err := h.queries.LastPositions(ctx, watched)
	if err != nil {
		return // the next look is soon
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, row := range rows {
		if w := h.orders[row.OrderID]; w != nil && row.Position > w.position {
			w.position = row.Position
			w.announce()
		}
	}
}

func (h *Hub) watched() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	orders := make([]uuid.UUID, 0, len(h.orders))
	for order := range h.orders {
		orders = append(orders, order)
	}
	return orders
}
