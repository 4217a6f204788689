package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// request is one request over HTTP, which may arrive when nobody waits for its
// answer any more.
type request struct {
	what    string
	process string
	attempt func() bool
}

// RoundTrip has a process's request wait for its turn. An answer that is lost is
// an error, but from S3, whose client would try again by a clock of its own.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	what, serve := p.world.route(r, body)
	if r.URL.Host == "provider" {
		p.checkAttempt(r, what)
	}
	var status int
	var answer []byte
	arrived := false
	attempt := func() bool {
		status, answer = serve()
		arrived, p.world.saw = true, string(answer)
		return true
	}
	err := p.turn(r.Context(), what, attempt)
	switch {
	case err != nil && !arrived && r.Context().Err() != nil && !p.dead:
		p.world.mu.Lock()
		p.world.broker.late = append(p.world.broker.late, &request{what, p.name, attempt})
		p.world.mu.Unlock()
		return nil, err
	case err != nil && r.URL.Host == "s3":
		status, answer = http.StatusForbidden, nil
	case err != nil:
		return nil, err
	}
	header := http.Header{}
	if r.URL.Host == "s3" && status == http.StatusOK {
		header.Set("ETag", `"of the label"`) // who answers without one isn't S3
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: header,
		Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)),
	}, nil
}

// route says in words what a request is for, and who serves it.
func (w *world) route(r *http.Request, body []byte) (what string, serve func() (int, []byte)) {
	switch r.URL.Host {
	case "sink":
		name := path.Base(r.URL.Path)
		return "hand " + name + " of " + w.nameOf(r.Header.Get("Ce-Subject")) + " to its sink", func() (int, []byte) { return w.accept(name, r.Header, body), nil }
	case "s3":
		key := strings.TrimPrefix(r.URL.Path, "/labels/")
		if r.Method == http.MethodDelete {
			return "remove the label", func() (int, []byte) { delete(w.bucket, key); return http.StatusNoContent, nil }
		}
		return "store the label", func() (int, []byte) { w.bucket[key] = string(body); return http.StatusOK, nil }
	default:
		order, action := path.Split(strings.TrimPrefix(r.URL.Path, "/v1/payments"))
		if r.Method == http.MethodGet {
			order, action = action, "ask about"
		}
		if action == "" { // the order is in the body
			var asked payment.AuthoriseRequest
			_ = json.Unmarshal(body, &asked) // the provider refuses what is none
			order, action = asked.OrderID, "authorise"
		}
		return fmt.Sprintf("%s %s at the provider", action, w.nameOf(strings.Trim(order, "/"))), func() (int, []byte) {
			defer w.checkMoney()
			return w.provider.serve(r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), body)
		}
	}
}

// message is an event on its way to one of its readers.
type message struct {
	reader, event, order string
	header               http.Header
	body                 []byte
	// copied says that it was delivered a second time already.
	copied bool
	// failures counts the attempts that were answered by an error.
	failures int
}

// broker is Kafka: it brings what it was given, in any order.
type broker struct {
	queue []*message
	// accepted are the ids of events that a sink has taken.
	accepted map[string]int
	// late are requests that nobody waits for, and that may arrive yet.
	late []*request
}

func (b *broker) take(m *message) {
	for i, other := range b.queue {
		if other == m {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			return
		}
	}
}

// accept is what a KafkaSink does with an event.
func (w *world) accept(name string, header http.Header, body []byte) int {
	id, order := header.Get("Ce-Id"), header.Get("Ce-Subject")
	w.checkPublished(name, order, body)
	if w.broker.accepted == nil {
		w.broker.accepted = map[string]int{}
	}
	w.broker.accepted[id]++
	for _, reader := range readersOf(name) {
		w.broker.queue = append(w.broker.queue, &message{reader: reader, event: name, order: order, header: header, body: body})
	}
	return http.StatusAccepted
}

func (m *message) name(w *world) string { return m.event + " of " + w.nameOf(m.order) }

func (m *message) request(ctx context.Context) *http.Request {
	return post(ctx, m.header, m.body)
}

func post(ctx context.Context, header http.Header, body []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://function/", bytes.NewReader(body))
	if err != nil {
		panic(err) // the address is right above
	}
	r.Header = header.Clone()
	return r
}

// ping is what a PingSource sends.
func ping(ctx context.Context) *http.Request {
	return post(ctx, http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"ping"}, "Ce-Source": {"/ping"}, "Ce-Type": {"dev.knative.sources.ping"},
		"Ce-Time": {time.Now().UTC().Format(time.RFC3339)},
	}, nil)
}
