package function_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

const awaiting = "waiting for evidence"

// hearing is a function that hears of what became of mails, as SENDGRID_WEBHOOK_KEY
// says. It makes no use of the key itself.
func hearing(t *testing.T) *world {
	t.Helper()
	return start(t, map[string]string{"SENDGRID_TIMEOUT": "1500ms", "SENDGRID_WEBHOOK_KEY": "a key"})
}

// evidence is what provider-webhooks writes down when SendGrid tells of a mail.
func (w *world) evidence(order stagetest.Order, kind, message string) {
	w.tb.Helper()
	w.exec(`insert into mail_events (sg_event_id, order_id, change, kind, message_id, at, recorded_at)
		values ($1, $2, 'order-placed', $3, $4, clock_timestamp(), clock_timestamp())`, uuid.NewString(), order.ID, kind, message)
}

// loseAnswer has the next mail accepted, and its answer lost.
func (w *world) loseAnswer(order stagetest.Order) {
	w.tb.Helper()
	w.inject(fault.Plan{After: &fault.Fault{Drop: true, Count: 1}})
	w.deliver(order, http.StatusServiceUnavailable)
}

// later lets a mail wait for so long already.
func (w *world) later(order stagetest.Order, column, ago string) {
	w.tb.Helper()
	w.exec(`update notifications set `+column+` = clock_timestamp() - $2::interval where order_id = $1`, order.ID, ago)
}

func (w *world) byEvidence(order stagetest.Order) (known bool) {
	w.tb.Helper()
	if err := w.pool.QueryRow(w.tb.Context(), `select by_evidence from notifications where order_id = $1`, order.ID).Scan(&known); err != nil {
		w.tb.Fatal(err)
	}
	return known
}

func (w *world) mustAwait(order stagetest.Order) {
	w.tb.Helper()
	if body := w.deliver(order, http.StatusServiceUnavailable); !strings.Contains(body, awaiting) {
		w.tb.Errorf("answered %q, want that it waits", body)
	}
}

// What SendGrid tells of a mail says that it was accepted, also where it bounced:
// it isn't sent again.
func TestEvidenceIsAsked(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"processed", "deferred", "delivered", "bounce", "blocked", "dropped"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := hearing(t)
			order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
			w.loseAnswer(order)
			for range 3 {
				w.mustAwait(order)
			}
			message := w.onlyMail(order).MessageID
			w.evidence(order, kind, message)
			w.deliver(order, http.StatusOK)
			w.onlyMail(order)
			got := w.row(order, "order-placed")
			if got.State != "sent" || got.MessageID != message || got.Attempts != 1 || got.Uncertain != 0 || got.SentAt == nil ||
				got.LastError != "" || !w.byEvidence(order) {
				t.Errorf("on record is %+v, by evidence: %t", got, w.byEvidence(order))
			}
			w.deliver(order, http.StatusOK)
			w.onlyMail(order)
			w.wantLawful()
		})
	}
}

// Where nothing is told within the time, the mail was hardly accepted: it is sent
// again, and the record says that it may have arrived twice.
func TestEvidenceNeverComes(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.loseAnswer(order)
	w.later(order, "uncertain_at", "115 seconds")
	w.mustAwait(order)
	w.later(order, "uncertain_at", "121 seconds")
	w.deliver(order, http.StatusOK)
	if mails := w.mails(order); len(mails) != 2 {
		t.Errorf("%d mails, want 2", len(mails))
	}
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 2 || got.Uncertain != 1 || w.byEvidence(order) {
		t.Errorf("on record is %+v", got)
	}
	// What is told after that changes nothing.
	before := w.row(order, "order-placed")
	w.evidence(order, "delivered", w.mails(order)[1].MessageID)
	w.deliver(order, http.StatusOK)
	if after := w.row(order, "order-placed"); after.MessageID != before.MessageID || len(w.mails(order)) != 2 {
		t.Errorf("on record is %+v, before %+v", after, before)
	}
}

// Each attempt whose end nobody knows is waited for anew.
func TestUncertainTwice(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.loseAnswer(order)
	w.later(order, "uncertain_at", "121 seconds")
	w.loseAnswer(order)
	w.mustAwait(order)
	w.evidence(order, "processed", w.mails(order)[0].MessageID)
	w.deliver(order, http.StatusOK)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 2 || got.Uncertain != 1 || !w.byEvidence(order) {
		t.Errorf("on record is %+v, want one attempt that nobody knows the end of", got)
	}
	if mails := w.mails(order); len(mails) != 2 {
		t.Errorf("%d mails, want 2", len(mails))
	}
}

// A mail that was surely not accepted waits for nothing, also after one that may
// have been and was waited for.
func TestCertainFailuresWaitForNothing(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	refuse := func() {
		w.inject(fault.Plan{Before: &fault.Fault{Status: http.StatusTooManyRequests, Count: 1}})
		if body := w.deliver(order, http.StatusServiceUnavailable); !strings.Contains(body, "too many mails") {
			t.Errorf("answered %q, want an attempt", body)
		}
	}
	refuse()
	refuse()
	w.loseAnswer(order)
	w.mustAwait(order)
	w.later(order, "uncertain_at", "121 seconds")
	refuse()
	refuse()
	w.evidence(order, "processed", w.onlyMail(order).MessageID)
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Uncertain != 0 || got.Attempts != 5 {
		t.Errorf("on record is %+v", got)
	}
}

// A process that died while it sent may have sent. As long as its lease lasts it may
// still be sending, and evidence tells that it has.
func TestEvidenceOfTheDead(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	claimed := func() stagetest.Order {
		order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
		w.exec(`insert into notifications (order_id, change, state, claimed_at) values ($1, 'order-placed', 'sending', clock_timestamp())`, order.ID)
		if body := w.deliver(order, http.StatusServiceUnavailable); !strings.Contains(body, "being sent by another delivery") {
			t.Errorf("answered %q", body)
		}
		return order
	}
	told := claimed()
	w.evidence(told, "processed", "m1")
	w.deliver(told, http.StatusOK)
	if got := w.row(told, "order-placed"); got.State != "sent" || got.MessageID != "m1" || got.Uncertain != 0 || got.Attempts != 1 {
		t.Errorf("on record is %+v", got)
	}

	silent := claimed()
	w.later(silent, "claimed_at", "60 seconds")
	w.mustAwait(silent)
	w.later(silent, "claimed_at", "121 seconds")
	w.deliver(silent, http.StatusOK)
	if got := w.row(silent, "order-placed"); got.State != "sent" || got.Attempts != 2 || got.Uncertain != 1 {
		t.Errorf("on record is %+v", got)
	}

	// Evidence of an earlier attempt says nothing of one that is under way.
	again := claimed()
	w.exec(`update notifications set attempts = 2, uncertain = 1 where order_id = $1`, again.ID)
	w.evidence(again, "processed", "m2")
	if body := w.deliver(again, http.StatusServiceUnavailable); !strings.Contains(body, "being sent by another delivery") {
		t.Errorf("answered %q", body)
	}
	w.later(again, "claimed_at", "60 seconds")
	w.deliver(again, http.StatusOK)
	if got := w.row(again, "order-placed"); got.State != "sent" || got.MessageID != "m2" || got.Uncertain != 1 || got.Attempts != 2 {
		t.Errorf("on record is %+v, want that of one attempt nobody knows", got)
	}
}

// An attempt that is slow, and of which is told meanwhile, ends as it would have.
func TestEvidenceOvertakesTheAnswer(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.inject(fault.Plan{After: &fault.Fault{Delay: fault.Duration(time.Second), Count: 1}})
	answered := w.telling(order, events.TypePaymentVerified)
	w.await(func() bool { return len(w.mails(order)) == 1 })
	w.evidence(order, "delivered", w.onlyMail(order).MessageID)
	w.deliver(order, http.StatusOK)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the attempt is answered %d", status)
	}
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.MessageID != w.onlyMail(order).MessageID || got.Uncertain != 0 {
		t.Errorf("on record is %+v", got)
	}
}

// Whoever comes, at the same time and as often as they like, sends no second mail.
func TestEvidenceAndDuplicates(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.loseAnswer(order)
	message := w.onlyMail(order).MessageID
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if i == 7 {
				w.evidence(order, "processed", message)
			}
			if status, body := order.Deliver(t, w.url, events.TypePaymentVerified); status != http.StatusOK && !strings.Contains(body, awaiting) {
				t.Errorf("answered %d %s", status, body)
			}
		})
	}
	group.Wait()
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Uncertain != 0 || got.Attempts != 1 {
		t.Errorf("on record is %+v", got)
	}
}

// An earlier version notes no time of an attempt whose end nobody knows: such a mail
// waits for nothing, and its evidence counts.
func TestUncertainOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	w := hearing(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.loseAnswer(order)
	w.exec(`update notifications set uncertain_at = null`)
	w.deliver(order, http.StatusOK)
	if mails := w.mails(order); len(mails) != 2 {
		t.Errorf("%d mails, want 2", len(mails))
	}
}
