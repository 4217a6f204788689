package orderlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
)

// Channel is where Postgres announces that orders have changed. The payload is
// their ids, joined by commas. An announcement may be lost, so listeners also
// look by themselves from time to time.
const Channel = "order_changed"

const (
	// flushEvery is how long an announcement waits for company.
	flushEvery = 10 * time.Millisecond
	// flushSize keeps a payload below the 8000 bytes that NOTIFY takes.
	flushSize = 200
	// flushTimeout bounds one flush.
	flushTimeout = 5 * time.Second
)

// sender is the part of a sink client that publishing needs.
type sender interface {
	Send(ctx context.Context, sink string, e event.Event) error
}

// mark says that an order has changed, and which of its events was published,
// if one was.
type mark struct {
	order uuid.UUID
	name  string
}

// Publisher sends entries to their KafkaSinks, and notes it.
//
// The notes are only a saving: an entry that is published but not marked is
// sent again on a redelivery, which is harmless. So they are written beside the
// deliveries, many at once, and needn't survive a crash.
type Publisher struct {
	pool   beginner
	sink   sender
	logger *slog.Logger
	marks  chan mark
	quit   chan struct{}
	done   sync.WaitGroup
}

// NewPublisher starts a publisher. Close ends it.
func NewPublisher(pool beginner, sink sender, logger *slog.Logger) *Publisher {
	p := &Publisher{pool: pool, sink: sink, logger: logger, marks: make(chan mark, 16*flushSize), quit: make(chan struct{})}
	p.done.Go(p.flushLoop)
	return p
}

// Publish sends the event that an entry tells to the KafkaSink of its topic. It
// returns nil only when the sink has accepted it.
func (p *Publisher) Publish(ctx context.Context, e Entry) error {
	out, err := e.CloudEvent()
	if err != nil {
		return err
	}
	if err := p.sink.Send(ctx, events.TopicOf(e.Name), out); err != nil {
		return fmt.Errorf("publish %s: %w", out.ID(), err)
	}
	p.note(mark{order: e.OrderID, name: e.Name})
	return nil
}

// Changed announces that something about an order has changed, to those who
// follow it.
func (p *Publisher) Changed(order uuid.UUID) {
	p.note(mark{order: order})
}

func (p *Publisher) note(m mark) {
	select {
	case p.marks <- m:
	default: // the database is behind; what is lost here is only a saving
	}
}

// Close writes what is still to be written and ends the publisher.
func (p *Publisher) Close() {
	close(p.quit)
	p.done.Wait()
}

func (p *Publisher) flushLoop() {
	for {
		select {
		case first := <-p.marks:
			p.flush(p.gather(first))
		case <-p.quit:
			p.drain()
			return
		}
	}
}

func (p *Publisher) drain() {
	for {
		select {
		case first := <-p.marks:
			p.flush(p.gather(first))
		default:
			return
		}
	}
}

func (p *Publisher) gather(first mark) []mark {
	batch := []mark{first}
	timer := time.NewTimer(flushEvery)
	defer timer.Stop()
	for len(batch) < flushSize {
		select {
		case next := <-p.marks:
			batch = append(batch, next)
		case <-timer.C:
			return batch
		case <-p.quit:
			return batch
		}
	}
	return batch
}

const markPublished = `
update order_events e set published_at = now()
from unnest($1::uuid[], $2::text[]) as sent (order_id, name)
where e.order_id = sent.order_id and e.name = sent.name and e.published_at is null`

func (p *Publisher) flush(batch []mark) {
	// Its own context: a mark outlives the delivery that made it.
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.write(ctx, batch); err != nil {
		p.logger.WarnContext(ctx, "mark events as published", "error", err.Error())
	}
}

func (p *Publisher) write(ctx context.Context, batch []mark) error {
	var orders []uuid.UUID
	var names, changed []string
	for _, m := range batch {
		changed = append(changed, m.order.String())
		if m.name != "" {
			orders, names = append(orders, m.order), append(names, m.name)
		}
	}
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		statements := &pgx.Batch{}
		// Losing a mark costs a duplicate; waiting for the disk would cost every delivery.
		statements.Queue("set local synchronous_commit = off")
		statements.Queue(markPublished, orders, names)
		statements.Queue("select pg_notify($1, $2)", Channel, strings.Join(changed, ","))
		return tx.SendBatch(ctx, statements).Close()
	})
}
