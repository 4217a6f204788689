package live

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// The pauses between attempts to listen.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// listen stays connected until ctx ends.
func (h *Hub) listen(ctx context.Context) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		connected, err := h.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if connected {
			h.logger.WarnContext(ctx, "lost the connection that listens for changes", "error", err.Error())
			pause = firstPause
		}
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// listenOnce listens on one connection for as long as that lasts.
func (h *Hub) listenOnce(ctx context.Context) (connected bool, err error) {
	conn, err := h.connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is of no more use
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{orderlog.Channel}.Sanitize()); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	h.announceAll() // whatever was announced while nobody listened
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, fmt.Errorf("wait for notification: %w", err)
		}
		h.announceEach(notification.Payload)
	}
}

func (h *Hub) announceEach(payload string) {
	for id := range strings.SplitSeq(payload, ",") {
		if order, err := uuid.Parse(id); err == nil {
			h.announce(order)
		}
	}
}
