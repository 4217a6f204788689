package lostorders_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// eShop: the row of the idempotency key is stored, the exception of what it is for
// is swallowed, and the client's retry is answered as a duplicate's success.
//
// Ours has key and order in one transaction: there are both or neither.
func TestRetryAfterASwallowedException(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	body := pipelinetest.Basket(tea, 1, visa)
	s.Exec(t, `create function fail() returns trigger language plpgsql as $$ begin raise 'out of memory'; end $$`)
	s.Exec(t, `create trigger fail before insert on order_lines for each row execute function fail()`)
	failed, err := s.Post(t.Context(), "/api/orders", body, "retried")
	if err != nil || failed.Status < http.StatusInternalServerError {
		t.Fatalf("an order that isn't stored is answered by %d %s, %v", failed.Status, failed.Body, err)
	}
	s.Exec(t, `drop trigger fail on order_lines`)
	retried, err := s.Post(t.Context(), "/api/orders", body, "retried")
	if err != nil || retried.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the retry is answered as a duplicate: %d %s, %v", retried.Status, retried.Body, err)
	}
	s.Await(t, retried.Order(t), "shipped")

	// The other way round: it took effect, and the client doesn't know.
	s.Gate("storefront").LoseAnswers(1)
	if _, err := s.Post(t.Context(), "/api/orders", body, "lost"); err == nil {
		t.Fatal("the answer came through")
	}
	again, err := s.Post(t.Context(), "/api/orders", body, "lost")
	if err != nil || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry of what took effect isn't answered as one: %d %s, %v", again.Status, again.Body, err)
	}
	s.Await(t, again.Order(t), "shipped")
	if orders := s.Ask(t, `select count(*)::text from orders`); orders != "2" {
		t.Errorf("there are %s orders, want 2", orders)
	}
	s.WantAllTrue(t)
}

// Confluent: services run at least once, so a crash can reserve twice; reserved
// stock isn't released when the order fails; state is cleaned up at the start; the
// mail is sent only if the payment joins within a minute.
//
// Ours reserves in the transaction that notes the event as handled, releases by
// order-cancelled, keeps nothing in the process, and mails whenever it happens.
func TestCrashReservesTwice(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Stock(t, last, 10)
	reached, start := s.Gate("inventory-update").Hold(t)
	_, release := s.Gate("shipment-preparation").Hold(t)
	order := s.Place(t, pipelinetest.Basket(last, 3, visa))
	pipelinetest.Await(t, reached)
	goOn := s.stopBefore(t, order, "inventory-updated")
	start()
	stagetest.AwaitBlocked(t, s.Pool)
	s.Kill(t, "inventory-update") // before its commit
	deliveries := s.Gate("inventory-update").LoseAnswers(2)
	goOn()
	localtest.Eventually(t, "the event has come three times more", 2*time.Minute, func() bool { return deliveries.Load() >= 3 })
	s.Kill(t, "inventory-update") // and after it
	s.Await(t, order, "inventory_updated")
	s.WantStock(t, last, 10, 3, 0)
	s.Cancel(t, order)
	s.AwaitAnswer(t, "0", `select reserved::text from stock where sku = $1`, last)
	release()

	s.Gate(pipelinetest.KafkaSink).Close()
	late := s.Place(t, pipelinetest.Basket(last, 1, visa))
	s.Exec(t, `update order_events set occurred_at = occurred_at - interval '2 hours' where order_id = $1`, late.ID)
	s.Exec(t, `update orders set placed_at = placed_at - interval '2 hours', updated_at = updated_at - interval '2 hours' where id = $1`, late.ID)
	_, release = s.Gate("shipment-preparation").Hold(t)
	s.Gate(pipelinetest.KafkaSink).Open()
	s.Sweep(t)
	s.AwaitMail(t, late, "order-placed")
	release()
	s.AwaitMail(t, late, "order-shipped")
	s.WantAllTrue(t)
	s.WantStock(t, last, 9, 0, 1)
}

// stopBefore has a function wait in its transaction where it has done all, and only
// has still to write down what happens next.
func (s shop) stopBefore(t *testing.T, order pipelinetest.Order, next string) (release func()) {
	t.Helper()
	tx, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `insert into order_events (order_id, name, source, occurred_at) values ($1, $2, 'test', now())`, order.ID, next); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

// DBOS demo: the step that moves inventory is no transaction, so a crash around it
// may move it twice.
//
// Ours moves units, money's record, parcel and event in one transaction, and the
// capture before it has a key.
func TestInventoryMovesTwiceAcrossACrash(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.Stock(t, last, 10)
	reached, release := s.Gate("shipment-preparation").Hold(t)
	order := s.Place(t, pipelinetest.Basket(last, 3, visa))
	pipelinetest.Await(t, reached)
	goOn := s.stopBefore(t, order, "order-shipped")
	release()
	stagetest.AwaitBlocked(t, s.Pool)
	s.Kill(t, "shipment-preparation")
	deliveries := s.Gate("shipment-preparation").LoseAnswers(2)
	goOn()
	localtest.Eventually(t, "the event has come three times more", 2*time.Minute, func() bool { return deliveries.Load() >= 3 })
	s.Await(t, order, "shipped")
	s.WantAllTrue(t)
	s.WantStock(t, last, 7, 0, 3)
	s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture)
}

// Medusa: the last unit is checked out twice at once, there are two orders of it,
// and the loser is orphaned, without a reservation or a payment.
//
// Ours sells it once; who comes too late is told so, and holds no money.
func TestConcurrentLastUnitCheckouts(t *testing.T) {
	t.Parallel()
	const customers = 12
	s := open(t, nil)
	s.Stock(t, last, 1)
	orders := make([]pipelinetest.Order, customers)
	var buying sync.WaitGroup
	for i := range orders {
		buying.Go(func() {
			answer, err := s.Post(t.Context(), "/api/orders", pipelinetest.Basket(last, 1, visa), "")
			if err != nil {
				t.Error(err)
				return
			}
			orders[i] = answer.Order(t)
		})
	}
	buying.Wait()
	s.WantAllTrue(t)
	s.WantStock(t, last, 0, 0, 1)
	ends := map[string]int{}
	for _, order := range orders {
		status := s.Status(t, order)
		ends[status]++
		if status == "shipped" {
			s.wantMoved(t, order, payment.KindAuthorise, payment.KindCapture)
			continue
		}
		s.wantMoved(t, order, payment.KindAuthorise, payment.KindVoid)
		s.AwaitMail(t, order, "order-cancelled")
	}
	if ends["shipped"] != 1 || ends["cancelled out_of_stock"] != customers-1 {
		t.Errorf("the orders ended as %v, want 1 shipped and %d out of stock", ends, customers-1)
	}
}
