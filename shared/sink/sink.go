// Package sink hands events to KafkaSinks: it POSTs a CloudEvent and takes
// nothing but the sink's acceptance for an answer.
package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Config is what a SinkBinding puts into a function's environment.
type Config struct {
	// URL is the address of the KafkaSink that is bound; empty where none is.
	URL string `env:"K_SINK"`
	// Overrides are extensions that the binding adds to every event, as JSON.
	Overrides string `env:"K_CE_OVERRIDES"`
	// CACerts are the PEM certificates to trust for https sinks.
	CACerts string `env:"K_CA_CERTS"`
	// Service is the Knative Service that the process is a pod of; empty where
	// it is none.
	Service string `env:"K_SERVICE"`
}

// timeout bounds one POST. The sink answers after Kafka has the event on all
// in-sync replicas, which takes milliseconds; what takes seconds is an outage,
// and then the delivery is better tried again as a whole.
const timeout = 5 * time.Second

// ErrUnbound is returned where there is no sink to send to.
var ErrUnbound = errors.New("no sink is bound: K_SINK is not set")

// Client sends events to the KafkaSinks beside the one that is bound.
type Client struct {
	bound     *url.URL
	service   bool
	overrides map[string]string
	http      *http.Client
}

// NewClient reads the binding. Without one it makes a client that is not Bound.
func NewClient(cfg Config) (*Client, error) {
	client := &Client{service: cfg.Service != "", http: &http.Client{Timeout: timeout, CheckRedirect: noRedirect}}
	if cfg.URL == "" {
		return client, nil
	}
	var err error
	if client.bound, err = url.Parse(cfg.URL); err != nil || client.bound.Host == "" {
		return nil, fmt.Errorf("parse K_SINK %q: not an absolute URL", cfg.URL)
	}
	if client.overrides, err = parseOverrides(cfg.Overrides); err != nil {
		return nil, err
	}
	client.http.Transport, err = transport(cfg.CACerts)
	return client, err
}

// Over returns a client that reaches the same sinks by another way than the network.
func (c *Client) Over(transport http.RoundTripper) *Client {
	clone := *c
	clone.http = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	return &clone
}

func noRedirect(*http.Request, []*http.Request) error {
	return http.ErrUseLastResponse // a POST turned into a GET would be answered, and store nothing
}

func parseOverrides(text string) (map[string]string, error) {
	var overrides struct {
		Extensions map[string]string `json:"extensions"`
	}
	if text == "" {
		return overrides.Extensions, nil
	}
	if err := json.Unmarshal([]byte(text), &overrides); err != nil {
		return nil, fmt.Errorf("parse K_CE_OVERRIDES: %w", err)
	}
	return overrides.Extensions, nil
}

func transport(caCerts string) (*http.Transport, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("default transport is not net/http's")
	}
	own := base.Clone()
	// Every delivery in flight may be publishing at the same moment.
	own.MaxIdleConns, own.MaxIdleConnsPerHost = 100, 100
	if caCerts == "" {
		return own, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read system certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM([]byte(caCerts)) {
		return nil, errors.New("parse K_CA_CERTS: no certificate in it")
	}
	own.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return own, nil
}

// Bound tells whether there is a sink to send to.
func (c *Client) Bound() bool { return c.bound != nil }

// Replies tells whether an event is to be the answer to what led to it: where no
// sink is bound, as by func run, for func invoke to show. On a cluster nobody reads
// answers: a function that came before its SinkBinding has to have its events
// come again, and not lose them with a 200.
func (c *Client) Replies() bool { return c.bound == nil && !c.service }

// Send delivers the event to the KafkaSink of the given name. It returns nil
// only when the sink has accepted it, that is when Kafka has stored it. After
// any error the event may have been stored all the same.
func (c *Client) Send(ctx context.Context, name string, e event.Event) error {
	if !c.Bound() {
		return ErrUnbound
	}
	for key, value := range c.overrides {
		e.SetExtension(key, value)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, c.address(name), e)
	if err != nil {
		return fmt.Errorf("encode event for sink %s: %w", name, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("send to sink %s: %w", name, err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end below
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("send to sink %s: status %d %s", name, response.StatusCode, text)
	}
	return nil
}

// address is that of a sibling of the bound sink: KafkaSinks of a namespace
// share one ingress and differ in the last part of the path.
func (c *Client) address(name string) string {
	sibling := *c.bound
	sibling.Path = path.Join(path.Dir(sibling.Path), name)
	return sibling.String()
}
