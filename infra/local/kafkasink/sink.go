// Package kafkasink is the ingress of KafkaSink on a laptop: it takes
// CloudEvents by HTTP at /<namespace>/<sink> and stores them in the sink's
// topic, answering as Knative's receiver does:
//
//	202  stored, by all replicas that are in sync
//	400  not a CloudEvent
//	404  no such sink
//	405  not a POST
//	503  not stored, or nobody knows; a record of more than 1 MiB
//
// It differs where a laptop is better off with less: the 503 of a broker that
// is away comes after DeliveryTimeout (2 s) and not after two minutes, a body
// of more than 8 MiB is not read to its end before it is refused, and there is
// neither OIDC nor TLS.
package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

// Sink is a KafkaSink: a name to POST to and the topic that is behind it.
type Sink struct {
	Namespace, Name, Topic string
	// ContentMode is how events are laid out in the topic; empty is binary.
	ContentMode kafkabinding.Mode
}

// Path is the path of the sink's address.
func (s Sink) Path() string { return "/" + s.Namespace + "/" + s.Name }

// Config says where the ingress listens and which sinks it has.
type Config struct {
	// Listen is the address to listen on, as "127.0.0.1:8090".
	Listen string
	// Brokers are the bootstrap servers of Kafka.
	Brokers []string
	Sinks   []Sink
	// Dial connects to Kafka; nil dials the address that it is given.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DeliveryTimeout is how long an event may wait for Kafka; 0 is 2 s.
	DeliveryTimeout time.Duration
	Logger          *slog.Logger
}

// ErrPortTaken says that somebody else listens on Config.Listen.
var ErrPortTaken = errors.New("port is taken by another program")

const (
	defaultDeliveryTimeout = 2 * time.Second
	readHeaderTimeout      = 5 * time.Second
	readTimeout            = 30 * time.Second
	idleTimeout            = time.Minute
	stopTimeout            = 4 * time.Second
)

// Server is the ingress.
type Server struct {
	listener net.Listener
	http     *http.Server
	producer *producer
	logger   *slog.Logger
	sinks    int
}

// New listens. Events are taken once Run runs.
func New(config Config) (*Server, error) {
	ingress, err := newIngress(config)
	if err != nil {
		return nil, fmt.Errorf("open kafka sink: %w", err)
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		ingress.producer.close()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("open kafka sink: %s: %w", config.Listen, ErrPortTaken)
		}
		return nil, fmt.Errorf("open kafka sink: %w", err)
	}
	return &Server{
		listener: listener,
		http: &http.Server{
			Handler:           ingress,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			IdleTimeout:       idleTimeout,
			ErrorLog:          slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
		},
		producer: ingress.producer,
		logger:   config.Logger,
		sinks:    len(config.Sinks),
	}, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, and lets requests under way come to their answer.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	s.logger.Info("kafka sink is up", "address", s.Addr(), "sinks", s.sinks)
	defer s.producer.close()

	select {
	case err := <-served:
		return fmt.Errorf("serve kafka sink: %w", err)
	case <-ctx.Done():
	}
	s.logger.Info("kafka sink is stopping", "address", s.Addr())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop kafka sink: %w", err), s.http.Close())
	}
	return nil
}

func routes(sinks []Sink) (map[string]Sink, error) {
	byPath := make(map[string]Sink, len(sinks))
	for _, sink := range sinks {
		switch sink.ContentMode {
		case "":
			sink.ContentMode = kafkabinding.Binary
		case kafkabinding.Binary, kafkabinding.Structured:
		default:
			return nil, fmt.Errorf("sink %s: content mode %q is neither binary nor structured", sink.Path(), sink.ContentMode)
		}
		if sink.Topic == "" || strings.Count(sink.Path(), "/") != 2 {
			return nil, fmt.Errorf("sink %s: needs a namespace, a name and a topic", sink.Path())
		}
		byPath[sink.Path()] = sink
	}
	return byPath, nil
}
