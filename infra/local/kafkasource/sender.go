package kafkasource

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxConnections = 100
	maxErrorData   = 1024
	maxRedirects   = 16
)

// errStopped says that nothing became of an event because we are stopping.
var errStopped = errors.New("dispatcher is stopping")

// failure is what the last attempt came to, when that was no success.
type failure struct {
	status int // 0 without a response
	header http.Header
	data   []byte // the beginning of the response's body
	err    error  // where there was no response
}

// retryable is Knative's list, to the letter.
func (f *failure) retryable() bool {
	switch f.status {
	case 0, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	default:
		return f.status >= http.StatusInternalServerError
	}
}

// sender POSTs the events of one source.
type sender struct {
	client *http.Client
	policy policy
	wait   func(context.Context, time.Duration) error
	// requests ends when requests under way have to be cut off.
	requests context.Context //nolint:containedctx // it outlives the context that stops retries
}

func newSender(requests context.Context, p policy, wait func(context.Context, time.Duration) error) *sender {
	return &sender{policy: p, wait: wait, requests: requests, client: &http.Client{
		Transport: &http.Transport{
			MaxConnsPerHost:     maxConnections,
			MaxIdleConnsPerHost: maxConnections,
			// No timeout of ours, as Knative's idleTimeout of 10000 is in seconds:
			// whoever closes an idle connection just when it is used is the function.
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send tries until the event is taken, refused, or out of attempts. It returns
// nil, nil for success and errStopped once ctx has ended.
func (s *sender) send(ctx context.Context, to *url.URL, m message) (*failure, error) {
	for retry := 1; ; retry++ {
		if ctx.Err() != nil {
			return nil, errStopped
		}
		failed := s.post(to, m) //nolint:contextcheck // a request under way outlives ctx, which stops retries
		switch {
		case failed == nil:
			return nil, nil //nolint:nilnil // no failure is what success is
		case s.requests.Err() != nil:
			return nil, errStopped
		case !failed.retryable() || retry > s.policy.retry:
			return failed, nil
		}
		if err := s.wait(ctx, s.policy.backoff(retry)); err != nil {
			return nil, errStopped
		}
	}
}

func (s *sender) post(to *url.URL, m message) *failure {
	ctx, cancel := context.WithTimeout(s.requests, s.policy.timeout)
	defer cancel()
	next, failed := s.do(m.request(ctx, to))
	for n := 0; next != nil && n < maxRedirects; n++ {
		request := m.request(ctx, next)
		request.Method = http.MethodGet
		next, failed = s.do(request)
	}
	return failed
}

// do returns what became of a request, and where to go on if the answer leads
// elsewhere.
func (s *sender) do(request *http.Request) (*url.URL, *failure) {
	response, err := s.client.Do(request)
	if err != nil {
		return nil, &failure{err: err}
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	// A response is one when all of it is there, as for Vert.x: one that breaks off
	// is a lost connection, whatever its status.
	data, err := io.ReadAll(io.LimitReader(response.Body, maxErrorData))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	switch {
	case err != nil:
		return nil, &failure{err: err}
	case response.StatusCode < http.StatusMultipleChoices:
		return nil, nil
	default:
		return redirect(response), &failure{status: response.StatusCode, header: response.Header, data: data}
	}
}

// redirect is where Vert.x goes from here, which has to be asked for by GET but
// with all of the event: by 303 anywhere, and from there by any redirect. It
// is nil where a POST is redirected otherwise, which is a refusal.
func redirect(response *http.Response) *url.URL {
	switch response.StatusCode {
	case http.StatusSeeOther:
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if response.Request.Method == http.MethodPost {
			return nil
		}
	default:
		return nil
	}
	to, err := response.Location()
	if err != nil || (to.Scheme != "http" && to.Scheme != "https") {
		return nil
	}
	return to
}

func (s *sender) close() { s.client.CloseIdleConnections() }
