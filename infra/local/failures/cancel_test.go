// Package failures_test tries on the whole pipeline what infra/FAILURES.md says of
// it, where one function alone can't show it.
package failures_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

const (
	visa  = "pm_card_visa"
	goods = "BREW-KETTLE"
	stock = 10
)

func TestMain(m *testing.M) { pipelinetest.Main(m) }

func open(t *testing.T) *pipelinetest.Shop {
	t.Helper()
	return pipelinetest.Open(t, "../../..", nil)
}

// step is one of an order's: a function, and the event that it ends with.
type step struct{ function, next string }

// TestCancelledAtEveryPoint has the customer cancel before each step, in the middle of
// its transaction, and between its commit and its sink. Whoever wins, the money, the
// stock and the mails are those of the order's end.
func TestCancelledAtEveryPoint(t *testing.T) { //nolint:tparallel // one shop, disturbed in one place at a time
	t.Parallel()
	s := open(t)
	s.Stock(t, goods, stock)
	shipped := 0
	for _, at := range []step{{"payment-verification", "payment-verified"}, {"inventory-update", "inventory-updated"}, {"shipment-preparation", "order-shipped"}} {
		for name, cancel := range map[string]func(*testing.T, *pipelinetest.Shop, step) (pipelinetest.Order, int){
			"before it": cancelBefore, "in its transaction": cancelWithin, "before its sink": cancelAfter,
		} {
			ran := t.Run(at.function+", "+name, func(t *testing.T) {
				order, answer := cancel(t, s, at)
				s.WantAllTrue(t)
				switch {
				case answer == http.StatusConflict:
					shipped++
					wantEnd(t, s, order, "shipped", payment.KindAuthorise, payment.KindCapture)
				case at.function == "payment-verification" && name == "before it":
					wantEnd(t, s, order, "cancelled customer_request")
				default:
					wantEnd(t, s, order, "cancelled customer_request", payment.KindAuthorise, payment.KindVoid)
				}
				s.WantStock(t, goods, stock-shipped, 0, shipped)
			})
			if !ran {
				return // the shop isn't as the next one needs it
			}
		}
	}
	if shipped != 2 {
		t.Errorf("%d orders were too late to be cancelled, want the two that had shipped", shipped)
	}
}

func wantEnd(t *testing.T, s *pipelinetest.Shop, order pipelinetest.Order, status string, moved ...payment.Kind) {
	t.Helper()
	if got := s.Status(t, order); got != status {
		t.Errorf("the order is %s, want %s", got, status)
	}
	if kinds := s.Provider.Kinds(t, order.ID.String()); !slices.Equal(kinds, moved) {
		t.Errorf("the provider's movements are %v, want %v", kinds, moved)
	}
}

// cancelling is the customer's wish, as the shop answers it.
func cancelling(t *testing.T, s *pipelinetest.Shop, order pipelinetest.Order) int {
	t.Helper()
	answer, err := s.Post(t.Context(), "/api/orders/"+order.ID.String()+"/cancel?token="+order.Token, "", "")
	if err != nil {
		t.Error(err)
	}
	return answer.Status
}

func cancelBefore(t *testing.T, s *pipelinetest.Shop, at step) (pipelinetest.Order, int) {
	t.Helper()
	reached, release := s.Gate(at.function).Hold(t)
	order := s.Place(t, pipelinetest.Basket(goods, 1, visa))
	pipelinetest.Await(t, reached)
	answer := cancelling(t, s, order)
	release()
	return order, answer
}

// cancelWithin has the step wait for somebody who is writing down what it wants to,
// and has given up by then.
func cancelWithin(t *testing.T, s *pipelinetest.Shop, at step) (pipelinetest.Order, int) {
	t.Helper()
	reached, release := s.Gate(at.function).Hold(t)
	order := s.Place(t, pipelinetest.Basket(goods, 1, visa))
	pipelinetest.Await(t, reached)
	tx, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `insert into order_events (order_id, name, source, occurred_at) values ($1, $2, 'test', now())`, order.ID, at.next); err != nil {
		t.Fatal(err)
	}
	release()
	stagetest.AwaitBlocked(t, s.Pool)
	var answer int
	var cancel sync.WaitGroup
	cancel.Go(func() { answer = cancelling(t, s, order) })
	stagetest.Await(t, s.Pool, `select count(*) >= 2 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel.Wait()
	return order, answer
}

func cancelAfter(t *testing.T, s *pipelinetest.Shop, at step) (pipelinetest.Order, int) {
	t.Helper()
	reached, goOn := make(chan struct{}), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(reached) })
	s.Gate(pipelinetest.KafkaSink).Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/"+at.next) {
			arrive()
			<-goOn
		}
		next.ServeHTTP(w, r)
	})
	order := s.Place(t, pipelinetest.Basket(goods, 1, visa))
	pipelinetest.Await(t, reached)
	answer := cancelling(t, s, order)
	s.Gate(pipelinetest.KafkaSink).Open()
	close(goOn)
	return order, answer
}
