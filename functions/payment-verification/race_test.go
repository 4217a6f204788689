package function_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// cancel does what the storefront does when a customer cancels. It tells
// whether the order could still be cancelled.
func (s *shop) cancel(order stagetest.Order) bool {
	s.tb.Helper()
	ctx := s.tb.Context()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := orderlog.Lock(ctx, tx, order.ID, "storefront", ""); err != nil {
			return err
		}
		at := time.Now()
		if err := orderlog.Move(ctx, tx, order.ID, events.StatusCancelled, events.ReasonCustomerRequest, at); err != nil {
			return err
		}
		return orderlog.Append(ctx, tx, orderlog.Entry{
			OrderID: order.ID, Name: cancelled, Source: "storefront", Data: order.Data(events.TypeOrderCancelled), OccurredAt: at,
		})
	})
	if err != nil && !errors.Is(err, orderlog.ErrIllegalMove) {
		s.tb.Errorf("cancel: %v", err)
	}
	return err == nil
}

// release does what order-cancellation does to the payment: at the provider,
// then in our books where it finds it open.
func (s *shop) release(order stagetest.Order) {
	s.tb.Helper()
	released, err := s.provider.Release(s.tb.Context(), order.ID.String())
	if err != nil {
		s.tb.Errorf("release: %v", err)
		return
	}
	s.exec(`update payments set state = $2, closed_at = $3 where order_id = $1 and state in ('authorised', 'captured')`,
		order.ID, released.State, released.ClosedAt)
}

// whilePaused delivers the event, lets something happen while the provider is
// at its authorisation, and returns the delivery's status.
func (s *shop) whilePaused(order stagetest.Order, after bool, happens func()) int {
	s.tb.Helper()
	held := s.provider.Hold(s.tb, "/v1/payments", after)
	answer := make(chan int, 1)
	go func() {
		status, _ := order.Deliver(s.tb, s.url, events.TypeOrderPlaced)
		answer <- status
	}()
	<-held.Reached
	happens()
	held.Resume()
	return <-answer
}

// Each way in which a cancellation can come between ends with nothing held, the
// customer's reason, no event of ours, and the same payment in both books.
func TestCancelledWhileAsking(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after, release bool
		want           payment.State
	}{
		"before the authorisation, released before it": {release: true, want: payment.StateDeclined},
		"before the authorisation, not released yet":   {want: payment.StateVoided},
		"after the authorisation, released after it":   {after: true, release: true, want: payment.StateVoided},
		"after the authorisation, not released yet":    {after: true, want: payment.StateVoided},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			status := s.whilePaused(order, test.after, func() {
				s.cancel(order)
				if test.release {
					s.release(order)
				}
			})
			if status != http.StatusOK {
				t.Errorf("delivery answered %d, want 200", status)
			}
			s.wantCancelled(order, test.want)
			s.release(order)
			s.deliver(order, http.StatusOK)
			s.wantCancelled(order, test.want)
			s.wantSame(order)
		})
	}
}

func (s *shop) wantCancelled(order stagetest.Order, state payment.State) {
	s.tb.Helper()
	s.wantOrder(order, events.StatusCancelled, events.ReasonCustomerRequest, state)
	s.wantSent(order)
	if theirs := s.provider.standing(s.tb, order.ID.String()); theirs.held != 0 || theirs.kept != 0 || theirs.Secured() {
		s.tb.Errorf("provider holds %d and keeps %d of a cancelled order (%s)", theirs.held, theirs.kept, theirs.State)
	}
}

// The order is cancelled before it is ever asked about.
func TestCancelledBeforeAsking(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	s.cancel(order)
	s.deliver(order, http.StatusOK)
	s.wantCancelled(order, payment.StateNone)
	s.provider.standing(t, order.ID.String()).wantHeld(t, events.Money{}, 0)
}

// The process dies with its question under way, and the order is cancelled
// before the event is delivered again.
func TestDiesWhileAskingThenCancelled(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before the authorisation": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			held := s.provider.Hold(t, "/v1/payments", after)
			ctx, die := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				response, err := http.DefaultClient.Do(order.Request(t, ctx, s.url, events.TypeOrderPlaced))
				if err == nil {
					response.Body.Close() //nolint:errcheck,gosec // it was meant to fail
					t.Errorf("a delivery that was cut off answered %d", response.StatusCode)
				}
			}()
			<-held.Reached
			die()
			<-done
			s.cancel(order)
			s.deliver(order, http.StatusOK)
			// What was under way all the time arrives last of all.
			held.Resume()
			<-held.Over
			if after {
				s.wantCancelled(order, payment.StateVoided)
				s.wantSame(order)
			} else {
				// A decline that nobody heard moves no money, and isn't in our books.
				s.wantCancelled(order, payment.StateNone)
			}
		})
	}
}

// A delivery sleeps while its duplicate does all the work; the order is
// cancelled after that. What it asks for when it wakes up holds nothing.
func TestDuplicateWakesUpLate(t *testing.T) {
	t.Parallel()
	for name, cancelFirst := range map[string]bool{"cancelled, then handled": true, "handled, then cancelled": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			order := s.place(stagetest.PaymentMethod)
			status := s.whilePaused(order, false, func() {
				if cancelFirst {
					s.cancel(order)
				}
				s.deliver(order, http.StatusOK)
				if !cancelFirst {
					s.cancel(order)
				}
				s.release(order)
			})
			if status != http.StatusOK {
				t.Errorf("the late duplicate was answered %d, want 200", status)
			}
			theirs := s.provider.standing(t, order.ID.String())
			if theirs.held != 0 || theirs.kept != 0 || theirs.Secured() {
				t.Errorf("provider holds %d of a cancelled order (%s)", theirs.held, theirs.State)
			}
			if ours := s.books(order); ours.payment == payment.StateAuthorised {
				t.Errorf("our books: %+v", ours)
			}
		})
	}
}

// The provider fails when it is to release: the event comes again.
func TestReleaseIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	order := s.place(stagetest.PaymentMethod)
	status := s.whilePaused(order, true, func() {
		s.cancel(order)
		s.provider.Fault(t, `{"after":{"path":"/v1/payments/*/release","status":503,"count":1}}`)
	})
	if status != http.StatusServiceUnavailable {
		t.Errorf("delivery answered %d, want 503", status)
	}
	s.deliver(order, http.StatusOK)
	s.wantCancelled(order, payment.StateVoided)
	s.wantSame(order)
}

// Many orders, each delivered twice at once while its customer may cancel and
// the provider loses answers: whatever the order of things, both books end the
// same and money is held for verified orders only.
func TestStorm(t *testing.T) {
	t.Parallel()
	const count, seed = 40, 1
	s := open(t)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a test that can be repeated
	s.provider.Fault(t, `{"after":{"status":503,"count":30},"before":{"delay":"2ms","count":200}}`)
	orders := make([]stagetest.Order, count)
	var group sync.WaitGroup
	for i := range orders {
		orders[i] = s.place(stagetest.PaymentMethod)
		for range 2 {
			group.Go(func() { s.deliverUntilDone(orders[i]) })
		}
		if random.IntN(2) == 0 {
			continue
		}
		pace := random.IntN(8)
		group.Go(func() {
			for range pace { // requests, and not a clock, are what the others are at
				_, _ = s.provider.Find(t.Context(), orders[i].ID.String())
			}
			if s.cancel(orders[i]) {
				s.releaseUntilDone(orders[i])
			}
		})
	}
	group.Wait()
	ends := map[string]int{}
	for _, order := range orders {
		ours := s.books(order)
		ends[string(ours.status)+", payment "+string(ours.payment)]++
		s.wantConsistent(order)
	}
	t.Logf("ends with seed %d: %v", seed, ends)
}

func (s *shop) deliverUntilDone(order stagetest.Order) {
	for range 100 {
		status, body := order.Deliver(s.tb, s.url, events.TypeOrderPlaced)
		switch status {
		case http.StatusOK:
			return
		case http.StatusServiceUnavailable:
		default:
			s.tb.Errorf("delivery answered %d %s", status, body)
			return
		}
	}
	s.tb.Error("delivery never succeeded")
}

func (s *shop) releaseUntilDone(order stagetest.Order) {
	for range 100 {
		if _, err := s.provider.Release(s.tb.Context(), order.ID.String()); err == nil {
			s.release(order)
			return
		}
	}
	s.tb.Error("release never succeeded")
}

func (s *shop) wantConsistent(order stagetest.Order) {
	s.tb.Helper()
	ours, theirs := s.books(order), s.provider.standing(s.tb, order.ID.String())
	want := int64(0)
	if ours.status == events.StatusPaymentVerified {
		want = order.Total.Amount
	}
	if theirs.held != want || theirs.kept != 0 || theirs.authorisations > 1 {
		s.tb.Errorf("order is %s, provider holds %d and keeps %d after %d authorisations",
			ours.status, theirs.held, theirs.kept, theirs.authorisations)
	}
	if ours.payment == payment.StateNone && theirs.State == payment.StateDeclined {
		return // a decline that only a late duplicate heard
	}
	s.wantSame(order)
}
