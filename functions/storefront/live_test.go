package function

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shownOrder is the part of an order that tests look at.
type shownOrder struct {
	Status       string `json:"status"`
	CancelReason string `json:"cancel_reason"`
	Cancellable  bool   `json:"cancellable"`
	Payment      struct {
		State string `json:"state"`
	} `json:"payment"`
	Timeline []struct {
		Position int64  `json:"position"`
		Event    string `json:"event"`
	} `json:"timeline"`
}

// message is one server-sent event.
type message struct {
	id    int64
	order shownOrder
}

// watcher is somebody who watches an order.
type watcher struct {
	t        testing.TB
	status   int
	messages chan message
	beats    chan struct{}
}

// watch follows an order until its stream ends.
func (s *shop) watch(path, lastEventID string) *watcher {
	s.t.Helper()
	r := s.request(http.MethodGet, path, nil)
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &watcher{t: s.t, status: response.StatusCode, messages: make(chan message, 100), beats: make(chan struct{}, 10_000)}
	schema := s.client.Transport.(*validating).api.document.Components.Schemas["Order"].Value
	go func() {
		defer close(w.messages)
		defer response.Body.Close()
		w.read(bufio.NewScanner(response.Body), func(data any) error { return schema.VisitJSON(data) })
	}()
	return w
}

func (w *watcher) read(lines *bufio.Scanner, valid func(any) error) {
	var next message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			next.id, _ = strconv.ParseInt(value, 10, 64)
		case "data":
			var data any
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				w.t.Errorf("data %s: %v", value, err)
			}
			if err := valid(data); err != nil {
				w.t.Errorf("a message that openapi.json doesn't tell of: %v", err)
			}
			if err := json.Unmarshal([]byte(value), &next.order); err != nil {
				w.t.Errorf("data %s: %v", value, err)
			}
			w.messages <- next
			next = message{}
		case "": // the end of a message, or a comment
			if value != "" {
				w.beats <- struct{}{}
			}
		}
	}
}

func (w *watcher) next() message {
	w.t.Helper()
	select {
	case got, open := <-w.messages:
		if !open {
			w.t.Fatal("the stream has ended")
		}
		return got
	case <-time.After(patience):
		w.t.Fatalf("no message in %s", patience)
	}
	return message{}
}

// rest waits for the end of the stream, and returns what came until then.
func (w *watcher) rest() []message {
	w.t.Helper()
	var all []message
	for {
		select {
		case got, open := <-w.messages:
			if !open {
				return all
			}
			all = append(all, got)
		case <-time.After(patience):
			w.t.Fatalf("the stream didn't end in %s", patience)
		}
	}
}

func statuses(messages []message) []string {
	var all []string
	for _, one := range messages {
		all = append(all, one.order.Status)
	}
	return all
}

func TestFollowOrder(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	w := s.watch(order.Links.Events, "")
	seen := []message{w.next()}
	for _, name := range []string{"payment-verified", "inventory-updated", "order-shipped"} {
		s.happen(order, name, true)
		seen = append(seen, w.next())
	}
	seen = append(seen, w.rest()...)
	want := []string{"placed", "payment_verified", "inventory_updated", "shipped"}
	if diff := cmp.Diff(want, statuses(seen)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(seen, func(a, b message) int { return int(a.id - b.id) }) {
		t.Errorf("ids go back: %v", seen)
	}
	for i, one := range seen {
		if len(one.order.Timeline) != i+1 || one.order.Timeline[i].Position != one.id {
			t.Errorf("message %d is not the order as of then: %+v", i, one)
		}
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	s.happen(order, "payment-verified", true)
	first := s.watch(order.Links.Events, "")
	seen := []message{first.next(), first.next()}

	resumed := s.watch(order.Links.Events, strconv.FormatInt(seen[0].id, 10))
	if got := resumed.next(); got.id != seen[1].id || got.order.Status != "payment_verified" {
		t.Errorf("after %d came %+v, want %d", seen[0].id, got, seen[1].id)
	}
	upToDate := s.watch(order.Links.Events+"&after="+strconv.FormatInt(seen[1].id, 10), "")
	s.happen(order, "inventory-updated", true)
	if got := upToDate.next(); got.order.Status != "inventory_updated" {
		t.Errorf("who was up to date got %+v, want only what came after", got)
	}
	for _, nonsense := range []string{"x", "-5", "99999999999999999999"} {
		if got := s.watch(order.Links.Events, nonsense).next(); got.order.Status != "placed" {
			t.Errorf("Last-Event-ID %s: began with %s, want placed", nonsense, got.order.Status)
		}
	}
	s.happen(order, "order-shipped", true)
	last := upToDate.rest()
	if got := s.watch(order.Links.Events, strconv.FormatInt(last[len(last)-1].id, 10)); got.status != http.StatusNoContent {
		t.Errorf("resumed after the end: %d, want 204", got.status)
	}
}

// Func's server cuts a response at 30 s; this one at 300 ms, with a beat each 50.
func TestStreamsOutliveTheServersDeadlines(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	hasty := httptest.NewUnstartedServer(http.HandlerFunc(s.function.Handle))
	hasty.Config.ReadTimeout, hasty.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	hasty.Start()
	t.Cleanup(hasty.Close)
	t.Cleanup(s.stop)
	s.server.URL = hasty.URL
	w := s.watch(order.Links.Events, "")
	w.next()
	for range 20 {
		select {
		case <-w.beats:
		case <-time.After(patience):
			t.Fatal("no heartbeat")
		}
	}
	s.happen(order, "payment-verified", true)
	if got := w.next(); got.order.Status != "payment_verified" {
		t.Errorf("after a second came %+v, want payment_verified", got)
	}
}

func TestUnannouncedNewsComesToo(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	w := s.watch(order.Links.Events, "")
	w.next()
	s.happen(order, "payment-verified", false)
	if got := w.next(); got.order.Status != "payment_verified" {
		t.Errorf("got %+v, want payment_verified", got)
	}
}

func TestListenerComesBack(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	w := s.watch(order.Links.Events, "")
	w.next()
	const listeners = `select pid from pg_stat_activity where datname = current_database() and query like 'listen%'`
	await(t, "the listener", func() bool { return s.count("select count(*) from ("+listeners+") l") == 1 })
	before := s.count(listeners)
	s.count("select count(pg_terminate_backend($1))", before)
	await(t, "another listener", func() bool {
		return s.count("select count(*) from ("+listeners+") l where pid <> $1", before) == 1
	})
	s.happen(order, "payment-verified", true)
	if got := w.next(); got.order.Status != "payment_verified" {
		t.Errorf("got %+v, want payment_verified", got)
	}
}

func TestTheMoneyOfACancelledOrder(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	s.pay(order, "authorised", false)
	w := s.watch(order.Links.Events, "")
	w.next()
	s.happen(order, "order-cancelled", true)
	cancelled := w.next()
	if cancelled.order.Status != "cancelled" || cancelled.order.CancelReason != "out_of_stock" || cancelled.order.Payment.State != "authorised" {
		t.Errorf("got %+v, want cancelled for out_of_stock", cancelled)
	}
	s.pay(order, "voided", true)
	if got := w.next(); got.id != cancelled.id || got.order.Payment.State != "voided" {
		t.Errorf("got %+v, want the same once more with the money voided", got)
	}
	if rest := w.rest(); len(rest) != 0 {
		t.Errorf("then came %+v, want the end", rest)
	}
}

func TestStreamsEndWithTheProcess(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	w := s.watch(order.Links.Events, "")
	w.next()
	s.stop()
	w.rest()
	await(t, "everyone to have left", func() bool { return s.hub().Watched() == 0 })
}

func TestManyWatchersOneConnection(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	watchers := make([]*watcher, 60)
	for i := range watchers {
		watchers[i] = s.watch(order.Links.Events, "")
		watchers[i].next()
	}
	const listeners = `select count(*) from pg_stat_activity where datname = current_database() and query like 'listen%'`
	if count := s.count(listeners); count != 1 {
		t.Errorf("%d listening connections for %d watchers, want 1", count, len(watchers))
	}
	s.happen(order, "payment-verified", true)
	for _, w := range watchers {
		if got := w.next(); got.order.Status != "payment_verified" {
			t.Errorf("got %+v, want payment_verified", got)
		}
	}
}
