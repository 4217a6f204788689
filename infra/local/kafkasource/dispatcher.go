// Package kafkasource does on a laptop what Knative's KafkaSource does: one
// consumer group per source reads its topics and POSTs every event to the
// source's sink, in binary mode, at least once.
//
//   - A status below 300 is success; the reply is discarded.
//   - 404, 408, 409, 429, 5xx, a lost connection and a timeout are tried again;
//     anything else is final at once.
//   - What has failed goes to the dead letter sink with the reason in its
//     extensions, by the same rules. Without one, or when that fails as well,
//     the event is dropped.
//   - Whatever came of it, the event is then finished. Offsets are committed up
//     to the first unfinished event, every five seconds, on revoke and on stop.
//   - A redirect is final, but for a 303, which Vert.x follows: see redirect.
//   - Ordered: one event of a partition is under way at a time, with all its
//     retries. Other partitions go on, but for those that no event has come of
//     since the source was started or its group rebalanced: they wait while every
//     other partition has events waiting. Unordered: about fifty of a source are
//     under way, and none waits for another.
//
// A record that is no CloudEvent becomes one: see synthesize. If its content type
// is nevertheless one of CloudEvents, application/cloudevents+json with something
// else in it or a batch, that becomes the data's, and whoever gets the request
// takes it for a structured event or a batch and finds none. The sink answers 400,
// and a KafkaSink as dead letter sink too: the record is dropped, and the log
// alone says so. Knative does the same: its KafkaSink writes no such record, others
// may.
//
// It differs from Knative in these: a response header Kne-<name> whose name no
// extension can have is left out (in Knative the event then hangs); control characters,
// which no header can have, are percent-encoded (Knative writes values as they are);
// trace context is passed on inside the event only; there is neither TLS nor
// authentication.
package kafkasource

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config is what Run needs. The zero values of all but Sources and Logger are
// those of Knative.
type Config struct {
	Sources []Source
	Logger  *slog.Logger
	// CommitInterval is how often offsets are committed; 0 is 5 s.
	CommitInterval time.Duration
	// SessionTimeout is how long Kafka waits for a dispatcher that has gone
	// silent before others get its partitions; 0 is 10 s.
	SessionTimeout time.Duration
	// Instance names the dispatcher. One that starts under the name of one that was
	// killed has its partitions at once; without a name it waits until Kafka no longer
	// does for the dead. If two have the same name, the older one stops with
	// ErrReplaced.
	Instance string
	// StopGrace is how long requests under way may take once Run has to stop;
	// 0 is 2 s. What isn't finished then is delivered again after the start.
	StopGrace time.Duration
	// Dial connects to Kafka; nil dials the address that it is given.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Wait waits before a retry; nil waits for as long as it is told to.
	Wait func(ctx context.Context, delay time.Duration) error
}

func (c Config) withDefaults() Config {
	if c.CommitInterval == 0 {
		c.CommitInterval = 5 * time.Second
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 10 * time.Second
	}
	if c.StopGrace == 0 {
		c.StopGrace = 2 * time.Second
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c
}

// ErrReplaced says that another dispatcher has started under the same name.
var ErrReplaced = errors.New("another dispatcher runs under the same name")

// Run dispatches the events of all sources until ctx ends. A Kafka that is away
// or a sink that is down is no error; a source that can't work is one, and so is
// ErrReplaced.
func Run(ctx context.Context, config Config) error {
	config = config.withDefaults()
	var err error
	for _, source := range config.Sources {
		err = errors.Join(err, source.validate())
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reach := &reachability{logger: config.Logger}
	errs := make(chan error, len(config.Sources))
	var running sync.WaitGroup
	for _, source := range config.Sources {
		running.Go(func() {
			if err := newConsumer(source, config, reach).run(ctx); err != nil {
				cancel()
				errs <- err
			}
		})
	}
	running.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
