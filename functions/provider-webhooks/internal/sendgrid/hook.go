// Package sendgrid takes SendGrid's Event Webhook: what became of each mail after
// SendGrid had accepted it, as evidence.
//
// SendGrid delivers in batches, in any order, some events twice, and again for up
// to 24 hours where it isn't answered by 2xx. So an event is known by its id, and
// one that can't be used never keeps the others of its batch from being taken.
package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/hook"
	"github.com/orderflow-project/orderflow/functions/provider-webhooks/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// Hook is a hook.Hook for SendGrid.
type Hook struct {
	Keys   Keys
	Pool   postgres.Pool
	Logger *slog.Logger
	// Now is the process's clock, by which signatures get too old.
	Now func() time.Time
}

var _ hook.Hook = (*Hook)(nil)

// Take implements hook.Hook.
func (h *Hook) Take(ctx context.Context, header http.Header, body []byte) error {
	if err := h.Keys.verify(header, body, h.Now()); err != nil {
		return fmt.Errorf("sendgrid: %w", err)
	}
	var elements []json.RawMessage
	if json.Unmarshal(body, &elements) != nil {
		return fmt.Errorf("sendgrid: %w", hook.ErrUnreadable)
	}
	batch, count := gather(elements)
	if len(batch.Ids) > 0 {
		row, err := store.New(h.Pool).RecordMailEvents(ctx, batch)
		if err != nil {
			return fmt.Errorf("record mail events: %w", err)
		}
		count.recorded, count.unknown = row.Recorded, row.Unknown
	}
	h.log(ctx, len(elements), count)
	return nil
}

// tally is what became of a batch. Events of orders that nobody knows are left:
// SendGrid would bring them again for a day, and they stay unknown.
type tally struct {
	recorded, unknown  int64
	ignored, malformed int
}

// gather takes what is evidence out of a batch.
func gather(elements []json.RawMessage) (store.RecordMailEventsParams, tally) {
	var batch store.RecordMailEventsParams
	var count tally
	for _, element := range elements {
		e, is := read(element)
		switch is {
		case ignored:
			count.ignored++
		case malformed:
			count.malformed++
		case ours:
			batch.Ids, batch.Orders = append(batch.Ids, e.id), append(batch.Orders, e.order)
			batch.Changes, batch.Kinds = append(batch.Changes, e.change), append(batch.Kinds, e.kind)
			batch.Messages, batch.Reasons = append(batch.Messages, e.messageID), append(batch.Reasons, e.reason)
			batch.Times = append(batch.Times, e.at)
		}
	}
	return batch, count
}

func (h *Hook) log(ctx context.Context, events int, count tally) {
	level := slog.LevelInfo
	if count.malformed > 0 || count.unknown > 0 {
		level = slog.LevelWarn
	}
	h.Logger.Log(ctx, level, "mail events", slog.Int("events", events), slog.Int64("recorded", count.recorded),
		slog.Int64("unknown_order", count.unknown), slog.Int("ignored", count.ignored), slog.Int("malformed", count.malformed))
}
