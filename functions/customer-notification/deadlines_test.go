package function_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/customer-notification"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// hold keeps others from what a statement locks until the test lets go.
func (w *world) hold(statement string, args ...any) (release func()) {
	w.tb.Helper()
	tx, err := w.pool.Begin(w.tb.Context())
	if err != nil {
		w.tb.Fatal(err)
	}
	end := func() { _ = tx.Rollback(context.WithoutCancel(w.tb.Context())) }
	w.tb.Cleanup(end)
	if _, err := tx.Exec(w.tb.Context(), statement, args...); err != nil {
		w.tb.Fatal(err)
	}
	return end
}

// The database is slow while the order is read: the mail isn't begun, the claim
// is given back, and the next delivery sends it.
func TestOrderIsReadSlowly(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"SENDGRID_TIMEOUT": "1500ms"})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	release := w.hold(`lock table order_lines in access exclusive mode`)
	w.deliver(order, http.StatusServiceUnavailable)
	if got := w.row(order, "order-placed"); got.State != "sending" || !strings.Contains(got.LastError, "list lines") || got.Uncertain != 0 {
		t.Errorf("on record is %+v, want the claim given back", got)
	}
	release()
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
}

// A claim that has to wait is given up, long before the frame's time is over.
func TestClaimWaits(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	release := w.hold(`insert into notifications (order_id, change, state, claimed_at) values ($1, 'order-placed', 'sending', now())`, order.ID)
	began := time.Now()
	if body := w.deliver(order, http.StatusServiceUnavailable); !strings.Contains(body, "claim mail") || time.Since(began) > 10*time.Second {
		t.Errorf("answered after %s: %s", time.Since(began), body)
	}
	release()
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
}

// SendGrid takes nearly all its time, and the database its own to write down what
// came of it: the mail is marked.
func TestMarkedSlowly(t *testing.T) {
	t.Parallel()
	e := startEgress(t)
	w := start(t, map[string]string{"SENDGRID_HOST": e.url})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	answered := w.telling(order, events.TypePaymentVerified)
	held := <-e.calls
	release := w.hold(`lock table notifications in access exclusive mode`)
	held <- w.through()
	stagetest.Await(t, w.pool, `select exists (select from pg_stat_activity where datname = current_database()
		and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '2.5 s')`)
	release()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 1 {
		t.Errorf("on record is %+v", got)
	}
}

// The frame itself had to wait for the database, so that a mail couldn't be seen
// through any more: it isn't begun.
func TestTooLateToBegin(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"SENDGRID_TIMEOUT": "11s"})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	release := w.hold(`lock table order_events in access exclusive mode`)
	answered := w.telling(order, events.TypePaymentVerified)
	stagetest.Await(t, w.pool, `select exists (select from pg_stat_activity where datname = current_database()
		and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '1.5 s')`)
	release()
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", status)
	}
	if mails := w.mails(order); len(mails) > 0 {
		t.Errorf("%d mails were begun", len(mails))
	}
	w.deliver(order, http.StatusOK)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 1 {
		t.Errorf("on record is %+v", got)
	}
}

// A timeout within which a mail can't be sent and written down before the
// delivery is cut off is refused when the function starts.
func TestTimeoutFitsIntoADelivery(t *testing.T) {
	t.Parallel()
	for timeout, fits := range map[string]bool{
		"1ms": true, "10s": true, "11s": true, "11.001s": false, "12s": false, "30s": false, "1h": false, "0": false, "-5s": false,
	} {
		variables := maps.Clone(environment("http://127.0.0.1:1"))
		variables["DATABASE_URL"], variables["SENDGRID_TIMEOUT"] = "postgres://nobody@127.0.0.1:1/none", timeout
		f := function.New()
		if err := f.Start(t.Context(), variables); err != nil {
			t.Fatal(err)
		}
		ready, err := f.Ready(t.Context())
		if ready != fits || !fits && !strings.Contains(err.Error(), "SENDGRID_TIMEOUT must be above 0 and at most 11s: ") {
			t.Errorf("with %s, Ready() = %t, %v", timeout, ready, err)
		}
		if err := f.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// overtake has two attempts at one mail under way: the lease of the first was
// over before it ended.
func (w *world) overtake(e *egress, order stagetest.Order) (first, second chan<- http.HandlerFunc, one, other <-chan int) {
	w.tb.Helper()
	one = w.telling(order, events.TypePaymentVerified)
	first = <-e.calls
	w.exec(`update notifications set claimed_at = clock_timestamp() - interval '1 hour' where order_id = $1`, order.ID)
	other = w.telling(order, events.TypePaymentVerified)
	second = <-e.calls
	return first, second, one, other
}

// An attempt whose claim another has taken over may not give that one's back, nor
// give up the mail for it.
func TestOnlyOnesOwnClaimEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]http.HandlerFunc{
		"released": answer(http.StatusServiceUnavailable, `{"errors":[{"message":"busy","field":null}]}`),
		"refused":  answer(http.StatusBadRequest, `{"errors":[{"message":"Bad Request","field":null}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEgress(t)
			w := start(t, map[string]string{"SENDGRID_HOST": e.url})
			order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
			first, second, one, other := w.overtake(e, order)
			first <- end
			<-one
			if got := w.row(order, "order-placed"); got.State != "sending" || got.LastError != "" || got.Attempts != 2 || got.Uncertain != 1 {
				t.Errorf("the second attempt's claim is %+v", got)
			}
			second <- w.through()
			if status := <-other; status != http.StatusOK {
				t.Errorf("the second attempt was answered %d", status)
			}
			w.onlyMail(order)
			if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 2 || got.Uncertain != 1 {
				t.Errorf("in the end, on record is %+v", got)
			}
		})
	}
}

// A mail that was sent is sent, whoever holds the claim by then, and the other
// attempt doesn't change that.
func TestSentByTheSlowOne(t *testing.T) {
	t.Parallel()
	e := startEgress(t)
	w := start(t, map[string]string{"SENDGRID_HOST": e.url})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	first, second, one, other := w.overtake(e, order)
	first <- w.through()
	if status := <-one; status != http.StatusOK {
		t.Errorf("the first attempt was answered %d", status)
	}
	sent := w.onlyMail(order)
	second <- answer(http.StatusTooManyRequests, "")
	if status := <-other; status != http.StatusServiceUnavailable {
		t.Errorf("the second attempt was answered %d", status)
	}
	if got := w.row(order, "order-placed"); got.State != "sent" || got.MessageID != sent.MessageID || got.LastError != "" || got.Uncertain != 1 {
		t.Errorf("on record is %+v", got)
	}
}
