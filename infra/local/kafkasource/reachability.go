package kafkasource

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reachability logs when Kafka goes away and when it is back, once for all
// sources. It keeps nobody from trying.
type reachability struct {
	down   atomic.Bool
	logger *slog.Logger
}

var _ kgo.HookBrokerConnect = (*reachability)(nil)

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (r *reachability) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	switch {
	case errors.Is(err, context.Canceled): // we are stopping
	case err != nil && r.down.CompareAndSwap(false, true):
		r.logger.Warn("kafka source: kafka can't be reached, trying on", "host", broker.Host, "port", broker.Port, "err", err)
	case err == nil && r.down.CompareAndSwap(true, false):
		r.logger.Info("kafka source: kafka is back", "host", broker.Host, "port", broker.Port)
	}
}
