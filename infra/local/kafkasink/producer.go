package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

const (
	// maxRecord is max.request.size of Knative's producer, 1 MiB.
	maxRecord = 1 << 20
	// maxBatch is what a broker takes by default, a little more than maxRecord.
	maxBatch = maxRecord + 12

	inFlight      = 5
	leastDelivery = time.Second // the client takes no less
	retryBackoff  = 100 * time.Millisecond
	metadataEvery = 250 * time.Millisecond
)

var (
	errTooLarge = errors.New("record is larger than 1 MiB")
	errTimeout  = errors.New("kafka did not answer in time")
)

// producer stores records, many at a time.
type producer struct {
	client  *kgo.Client
	timeout time.Duration
	failing atomic.Bool
	logger  *slog.Logger
}

func newProducer(config Config) (*producer, error) {
	timeout := config.DeliveryTimeout
	if timeout == 0 {
		timeout = defaultDeliveryTimeout
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(config.Brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// As in Knative's receiver. An idempotent producer would also not give
		// up a record that is on its way, so that no 503 could be answered.
		kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(inFlight),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxBatch),
		// A record that nobody waits for any more may still be stored: its
		// sender was told 503 and sends again.
		kgo.RecordDeliveryTimeout(max(timeout, leastDelivery)),
		kgo.ProduceRequestTimeout(timeout),
		kgo.RequestTimeoutOverhead(timeout),
		kgo.DialTimeout(timeout),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryBackoff }),
		kgo.MetadataMinAge(metadataEvery),
	}
	if config.Dial != nil { // which knows of no DialTimeout
		options = append(options, kgo.Dialer(config.Dial))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make kafka producer: %w", err)
	}
	return &producer{client: client, timeout: timeout, logger: config.Logger}, nil
}

// store returns once Kafka has the record. It does not stop when the sender of
// the event goes away: one cancelled record takes those behind it along.
func (p *producer) store(record *kgo.Record) error {
	if kafkabinding.Size(record) > maxRecord {
		return errTooLarge
	}
	stored := make(chan error, 1)
	p.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) { stored <- err })
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case err := <-stored:
		p.note(err)
		return err
	case <-timer.C:
		p.note(errTimeout)
		return errTimeout
	}
}

// note logs when storing begins to fail and when it works again.
func (p *producer) note(err error) {
	switch {
	case err != nil && p.failing.CompareAndSwap(false, true):
		p.logger.Warn("kafka sink can't store events, answering 503", "err", err)
	case err == nil && p.failing.Load() && p.failing.CompareAndSwap(true, false):
		p.logger.Info("kafka sink stores events again")
	}
}

// close drops what is still buffered: nobody has been told that it is stored.
func (p *producer) close() { p.client.Close() }
