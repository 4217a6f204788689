package kafkasource

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"
)

// InitialOffset is where a consumer group starts that has committed nothing.
type InitialOffset string

// The initial offsets; empty is latest, as in Knative.
const (
	Earliest InitialOffset = "earliest"
	Latest   InitialOffset = "latest"
)

// Ordering says whether events of a partition wait for one another.
type Ordering string

// The orderings; empty is ordered, as in Knative.
const (
	Ordered   Ordering = "ordered"
	Unordered Ordering = "unordered"
)

// BackoffPolicy says how the delay grows from one retry to the next.
type BackoffPolicy string

// The backoff policies; empty is exponential, as in Knative.
const (
	Linear      BackoffPolicy = "linear"
	Exponential BackoffPolicy = "exponential"
)

// Source is a KafkaSource, its references resolved to addresses.
type Source struct {
	Namespace, Name  string
	ConsumerGroup    string
	Topics           []string
	BootstrapServers []string
	InitialOffset    InitialOffset
	Ordering         Ordering
	// Consumers are virtual replicas. Knative spreads them over pods and runs
	// one Kafka consumer in each; here is one pod, so the number changes nothing.
	Consumers int
	// KeyType is how the key of a record that is no CloudEvent is read.
	KeyType KeyType
	// Sink is the URL that events are POSTed to.
	Sink string
	// Delivery is nil where the manifest has no delivery block at all.
	Delivery *Delivery
	// CEOverrides are extensions that every event is given.
	CEOverrides map[string]string
}

// Delivery is the delivery block. It replaces the defaults as a whole: with
// only a dead letter sink in it there is no retry.
type Delivery struct {
	Retry         int
	BackoffPolicy BackoffPolicy
	// BackoffDelay is nil where the manifest does not say.
	BackoffDelay *time.Duration
	// Timeout of one attempt; 0 where the manifest does not say.
	Timeout time.Duration
	// DeadLetterSink is the URL that failed events are POSTed to; "" is none.
	DeadLetterSink string
}

const (
	defaultRetry   = 10
	defaultBackoff = 300 * time.Millisecond // where there is no delivery block
	unsetBackoff   = 200 * time.Millisecond // where there is one that does not say
	defaultTimeout = 600 * time.Second
)

// policy is what a Delivery comes to.
type policy struct {
	retry          int
	linear         bool
	delay, timeout time.Duration
}

func (d *Delivery) policy() policy {
	if d == nil {
		return policy{retry: defaultRetry, delay: defaultBackoff, timeout: defaultTimeout}
	}
	p := policy{retry: d.Retry, linear: d.BackoffPolicy == Linear, delay: unsetBackoff, timeout: d.Timeout}
	if d.BackoffDelay != nil {
		p.delay = *d.BackoffDelay
	}
	if p.timeout == 0 {
		p.timeout = defaultTimeout
	}
	return p
}

// backoff is how long to wait before retry n, which counts from 1. There is no
// jitter and no cap; exponential begins with twice the delay.
func (p policy) backoff(n int) time.Duration {
	factor := math.Pow(2, float64(n))
	if p.linear {
		factor = float64(n)
	}
	if delay := float64(p.delay) * factor; delay < math.MaxInt64 {
		return time.Duration(delay)
	}
	return math.MaxInt64
}

func (d *Delivery) deadLetterSink() string {
	if d == nil {
		return ""
	}
	return d.DeadLetterSink
}

func (s Source) validate() error {
	var err error
	if s.Namespace == "" || s.Name == "" || s.ConsumerGroup == "" {
		err = errors.New("needs a namespace, a name and a consumer group")
	}
	if len(s.Topics) == 0 || len(s.BootstrapServers) == 0 {
		err = errors.Join(err, errors.New("needs topics and bootstrap servers"))
	}
	err = errors.Join(err, absolute("sink", s.Sink),
		oneOf("initialOffset", s.InitialOffset, Earliest, Latest),
		oneOf("ordering", s.Ordering, Ordered, Unordered),
		oneOf("key type", s.KeyType, KeyString, KeyInt, KeyFloat, KeyByteArray),
		s.Delivery.validate())
	if err != nil {
		return fmt.Errorf("kafka source %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

func (d *Delivery) validate() error {
	if d == nil {
		return nil
	}
	var err error
	if d.Retry < 0 || d.Timeout < 0 || (d.BackoffDelay != nil && *d.BackoffDelay < 0) {
		err = errors.New("delivery: retry, timeout or backoff delay below zero")
	}
	if d.DeadLetterSink != "" {
		err = errors.Join(err, absolute("dead letter sink", d.DeadLetterSink))
	}
	return errors.Join(err, oneOf("backoffPolicy", d.BackoffPolicy, Linear, Exponential))
}

func absolute(what, address string) error {
	if u, err := url.Parse(address); err != nil || !u.IsAbs() || u.Host == "" {
		return fmt.Errorf("%s: %q is no absolute URL", what, address)
	}
	return nil
}

// oneOf accepts the zero value too, which stands for the default.
func oneOf[T ~string](what string, value T, allowed ...T) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %q", what, value, allowed)
}
