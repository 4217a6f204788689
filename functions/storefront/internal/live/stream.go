package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
)

// Pace is how a stream behaves in time.
type Pace struct {
	// Heartbeat is the pause after which a stream without news says that it is
	// still there; proxies close silent connections.
	Heartbeat time.Duration
	// WriteTimeout is how long one message may take to leave. Who reads slower
	// is dropped, and comes back to where it was.
	WriteTimeout time.Duration
	// Grace is how long a stream goes on after the order's last step, for what
	// becomes of the money.
	Grace time.Duration
	// Now is the clock.
	Now func() time.Time
}

// findTimeout bounds one look at an order.
const findTimeout = 5 * time.Second

// finder looks up an order.
type finder interface {
	Find(ctx context.Context, id uuid.UUID) (order.View, error)
}

// Streams serve orders as they happen, as server-sent events. The id of a
// message is the position of what happened in the history of all orders, its
// data is the order as of then, in the form that the API shows it.
type Streams struct {
	hub  *Hub
	book finder
	pace Pace
}

// NewStreams makes streams of the orders in book, on the news from hub.
func NewStreams(hub *Hub, book finder, pace Pace) *Streams {
	return &Streams{hub: hub, book: book, pace: pace}
}

// Serve streams one order to a client that is allowed to see it. An error comes
// before anything is written.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, id uuid.UUID, present func(order.View) any) error {
	// Before the first look at the order, so that nothing falls in between.
	news, stop := s.hub.Watch(id)
	defer stop()
	view, err := s.find(r.Context(), id)
	if err != nil {
		return err
	}
	after, resumed := lastEventID(r)
	if resumed && view.Settled() && after >= view.Position() {
		w.WriteHeader(http.StatusNoContent) // tells an EventSource not to come back
		return nil
	}
	out := &stream{pace: s.pace, w: w, control: http.NewResponseController(w), sent: after, present: present}
	if out.open() == nil && out.show(view) == nil {
		s.follow(r.Context(), out, id, view, news)
	}
	return nil
}

// follow sends news until the client leaves, the order is at its end, or the
// process stops: func waits for open connections before it lets it.
func (s *Streams) follow(ctx context.Context, out *stream, id uuid.UUID, view order.View, news <-chan struct{}) {
	heartbeat := time.NewTicker(s.pace.Heartbeat)
	defer heartbeat.Stop()
	var end <-chan time.Time
	for {
		if view.Status.Final() && end == nil {
			end = time.After(s.pace.Grace)
		}
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.hub.Stopped():
			return
		case <-end:
			return
		case <-heartbeat.C:
			err = out.write(": still here\n\n")
		case <-news:
			view, err = s.next(ctx, out, id, view)
		}
		if err != nil {
			return
		}
	}
}

// next sends what is new. A database that is away for a moment doesn't end the
// stream: there will be other news.
func (s *Streams) next(ctx context.Context, out *stream, id uuid.UUID, before order.View) (order.View, error) {
	view, err := s.find(ctx, id)
	if err != nil {
		return before, ctx.Err()
	}
	return view, out.show(view)
}

// find bounds the look at an order: a database that hangs must not keep the
// stream from noticing that its client has left.
func (s *Streams) find(ctx context.Context, id uuid.UUID) (order.View, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	return s.book.Find(ctx, id)
}

// lastEventID is where a client left off. An EventSource sends a header when it
// comes back; a page that has just been rendered says so in its first request.
func lastEventID(r *http.Request) (position int64, resumed bool) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false
	}
	return max(position, 0), true
}

// stream is one response.
type stream struct {
	pace    Pace
	w       http.ResponseWriter
	control *http.ResponseController
	present func(order.View) any

	sent    int64  // the position of the last step that was sent
	payment string // the state of the payment at that time
	shown   bool   // whether there was such a time
}

// open lifts the server's deadlines, which would cut every stream at 30 s. The
// one for reading counts too: a server that watches for the client's leaving
// reads, and takes the deadline for that.
func (s *stream) open() error {
	if err := s.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift read deadline: %w", err)
	}
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies must not wait for more
	s.w.WriteHeader(http.StatusOK)
	return s.write("retry: 1000\n\n")
}

// show sends the steps that the client doesn't have yet, each with the order as
// of then; without a new step, the order once more if the money has moved.
func (s *stream) show(view order.View) error {
	payment := ""
	if view.Payment != nil {
		payment = view.Payment.State
	}
	moved := s.shown && payment != s.payment && s.sent >= view.Position()
	s.payment, s.shown = payment, true
	if moved {
		return s.message(view.Position(), view)
	}
	for i, step := range view.Timeline {
		if step.Position <= s.sent {
			continue
		}
		if err := s.message(step.Position, view.AsOf(i)); err != nil {
			return err
		}
		s.sent = step.Position
	}
	return nil
}

func (s *stream) message(id int64, view order.View) error {
	data, err := json.Marshal(s.present(view))
	if err != nil {
		return fmt.Errorf("encode order: %w", err)
	}
	return s.write(fmt.Sprintf("id: %d\ndata: %s\n\n", id, data))
}

func (s *stream) write(text string) error {
	if err := s.control.SetWriteDeadline(s.pace.Now().Add(s.pace.WriteTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write to stream: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	return nil
}
