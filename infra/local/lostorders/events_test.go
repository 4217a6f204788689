package lostorders_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// OTel demo: that the order's event can't be produced is logged, and the order is
// reported as placed; the consumer commits by itself and swallows exceptions.
//
// Ours has the event in the order's own transaction, and order-recovery sends it
// once there is a Kafka again; a consumer that fails gets the event again.
func TestEventCouldNotBeProduced(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Gate(pipelinetest.KafkaSink).Close()
	order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
	if sent := s.Ask(t, `select count(published_at)::text from order_events where order_id = $1`, order.ID); sent != "0" {
		t.Fatal("the event was sent although nobody takes any")
	}
	s.Gate(pipelinetest.KafkaSink).Open()

	var deliveries atomic.Int64
	s.Gate("payment-verification").Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if deliveries.Add(1) <= 3 {
			http.Error(w, "panic: exception", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
	s.AwaitAnswer(t, "true", `select (now() - placed_at > interval '200 ms')::text from orders where id = $1`, order.ID)
	s.Sweep(t)
	s.Await(t, order, "shipped")
	if deliveries.Load() < 4 {
		t.Errorf("%d deliveries, want the three that failed and one more", deliveries.Load())
	}
	s.WantAllTrue(t)
}

// eShop: the consumer acknowledges an event whose handler threw, and there is no
// dead letter exchange; a comment admits it.
//
// Ours keeps what a function refuses for good, with the reason, until somebody has
// mended it and sends it again.
func TestConsumerAcksOnException(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	reached, release := s.Gate("shipment-preparation").Hold(t)
	order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
	pipelinetest.Await(t, reached)
	s.Exec(t, `create table moved_away as select * from order_contacts`)
	s.Exec(t, `delete from order_contacts`)
	release()
	const letter = `from dead_letters where subject = $1 and event_type = 'orderflow.inventory.updated.v1' and error_code = '422'`
	s.AwaitAnswer(t, "1", `select count(*)::text `+letter, order.ID.String())
	if reason := s.Ask(t, `select error_data `+letter, order.ID.String()); !strings.Contains(reason, "the order has no address") {
		t.Errorf("the letter says %q, want what was wrong", reason)
	}
	s.Exec(t, `insert into order_contacts select * from moved_away`)
	how := deadletter.Redrive{Act: deadletter.Act{By: "ada", Reason: "the address is back"}}
	err := deadletter.NewDesk(s.Pool, nil).Redrive(t.Context(), s.Sink, deadletter.Filter{State: deadletter.StateOpen}, how, func(r deadletter.Result) {
		if r.Outcome != deadletter.OutcomeSent {
			t.Errorf("letter %d: %s, %s", r.Letter.ID, r.Outcome, r.Why)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Await(t, order, "shipped")
	s.WantAllTrue(t)
}

// eShop: an outbox row is published by the request that wrote it and by nobody
// else; a crash after the commit, and the event is never sent.
//
// Ours leaves it to whoever comes by: order-recovery finds what was never sent.
func TestOutboxOfARequestThatDied(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	reached := s.Gate(pipelinetest.KafkaSink).Swallow()
	answered := make(chan error, 1)
	go func() {
		_, err := s.Post(t.Context(), "/api/orders", pipelinetest.Basket(tea, 1, visa), "")
		answered <- err
	}()
	pipelinetest.Await(t, reached)
	s.Kill(t, "storefront")
	if err := <-answered; err == nil {
		t.Fatal("the customer got an answer from a process that died")
	}
	s.Gate(pipelinetest.KafkaSink).Open()
	var order pipelinetest.Order
	if err := s.Pool.QueryRow(t.Context(), `select id from orders`).Scan(&order.ID); err != nil {
		t.Fatal(err)
	}
	if sent := s.Ask(t, `select count(published_at)::text from order_events`); sent != "0" {
		t.Fatal("the event was sent by the request that died")
	}
	s.Recover(t, order, "shipped")
	s.WantAllTrue(t)
}

// Outbox batching: a row that failed is tried again after later rows of its key
// were sent, so they come as 2, 3, 1, even to who throws away duplicates.
//
// Ours doesn't need them in order: each is judged by where the order stands.
func TestLaterRowsBeforeTheFailedOne(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Gate(pipelinetest.KafkaSink).Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/order-placed") {
			http.Error(w, "no leader for the partition", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	order := s.Place(t, pipelinetest.Basket(tea, 1, visa))
	s.Cancel(t, order)
	s.AwaitMail(t, order, "order-cancelled")
	s.AwaitAnswer(t, "1", `select count(*)::text from order_events where order_id = $1 and source = 'order-cancellation'`, order.ID)
	s.Gate(pipelinetest.KafkaSink).Open()
	localtest.Eventually(t, "the first event is handled last", 2*time.Minute, func() bool {
		s.Sweep(t)
		return s.Ask(t, `select count(*)::text from order_events where order_id = $1 and source = 'payment-verification'`, order.ID) == "1"
	})
	s.WantAllTrue(t)
	if status := s.Status(t, order); status != "cancelled customer_request" {
		t.Errorf("the order is %s, want cancelled", status)
	}
	s.wantMoved(t, order)
	if mails := s.Mails(t, order); len(mails) != 1 || mails["order-cancelled"] != 1 {
		t.Errorf("mails %v, want that of the cancellation alone", mails)
	}
}

// AWS sample: create_order isn't idempotent; its sibling puts events twice.
//
// Ours takes one order of one key, and every event of it may be there five times.
func TestCreateOrderIsNotIdempotent(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Stock(t, last, 5)
	s.Gate(pipelinetest.KafkaSink).Repeat(5)
	reached, release := s.Gate("shipment-preparation").Hold(t)
	order := s.placeAtOnce(t, pipelinetest.Basket(last, 2, visa), "created", 10)
	pipelinetest.Await(t, reached)
	s.AwaitMail(t, order, "order-placed") // else it might be overtaken
	release()
	s.Await(t, order, "shipped")
	s.AwaitMail(t, order, "order-shipped")
	s.WantAllTrue(t)
	s.WantStock(t, last, 3, 0, 2)
	s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture)
	for _, kind := range events.Catalog() {
		if kind.Status == events.StatusCancelled || kind.Repeats {
			continue
		}
		if rows := s.Ask(t, `select count(*)::text from order_events where name = $1`, kind.Name); rows != "1" {
			t.Errorf("%s has happened %s times", kind.Name, rows)
		}
	}
}
