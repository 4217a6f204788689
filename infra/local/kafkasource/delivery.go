package kafkasource

import (
	"context"
	"log/slog"
	"net/url"

	"github.com/twmb/franz-go/pkg/kgo"
)

// delivery brings one record after the other to its final outcome.
type delivery struct {
	source Source
	sender *sender
	sink   *url.URL
	dead   *url.URL // nil without a dead letter sink
	logger *slog.Logger
}

func newDelivery(source Source, sender *sender, logger *slog.Logger) (*delivery, error) {
	sink, err := url.Parse(source.Sink)
	if err != nil {
		return nil, err
	}
	d := &delivery{source: source, sender: sender, sink: sink, logger: logger}
	if address := source.Delivery.deadLetterSink(); address != "" {
		d.dead, err = url.Parse(address)
	}
	return d, err
}

// deliver returns nil once the record is finished: taken, dead-lettered or
// dropped. It returns errStopped for a record that has to come again.
func (d *delivery) deliver(ctx context.Context, record *kgo.Record) error {
	m, err := d.source.message(record) //nolint:contextcheck // it waits for nothing
	if err != nil {
		d.log(ctx, slog.LevelError, "event dropped: it can't be written as a request", record, m, &failure{err: err})
		return nil //nolint:nilerr // the record is finished, and the log says how
	}
	failed, err := d.sender.send(ctx, d.sink, m)
	if failed == nil || err != nil {
		return err
	}
	return d.bury(ctx, record, m, failed)
}

func (d *delivery) bury(ctx context.Context, record *kgo.Record, m message, failed *failure) error {
	if d.dead == nil {
		d.log(ctx, slog.LevelError, "event dropped: no dead letter sink", record, m, failed)
		return nil
	}
	deadFailed, err := d.sender.send(ctx, d.dead, m.dead(d.source.Sink, failed))
	switch {
	case err != nil:
		return err
	case deadFailed != nil:
		d.log(ctx, slog.LevelError, "event dropped: dead letter sink does not take it", record, m, deadFailed)
	default:
		d.log(ctx, slog.LevelWarn, "event dead-lettered", record, m, failed)
	}
	return nil
}

func (d *delivery) log(ctx context.Context, level slog.Level, msg string, record *kgo.Record, m message, f *failure) {
	attrs := []slog.Attr{
		slog.String("source", d.source.Name),
		slog.String("topic", record.Topic),
		slog.Int("partition", int(record.Partition)),
		slog.Int64("offset", record.Offset),
		slog.String("event_id", m.id),
		slog.String("type", m.kind),
		slog.Int("status", f.status),
	}
	if f.err != nil {
		attrs = append(attrs, slog.String("err", f.err.Error()))
	}
	d.logger.LogAttrs(ctx, level, msg, attrs...)
}
