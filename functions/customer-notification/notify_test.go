package function_test

import (
	"context"
	"html"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/mailbox"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMails(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, test := range []struct {
		eventType, change, subject string
		status                     events.Status
		says                       []string
	}{
		{
			events.TypePaymentVerified, "order-placed", "We have your order ", events.StatusPaymentVerified,
			[]string{"Hello Ada Example,", "2 x First: €25.00", "1 x Second: €8.00", "€33.00", "12345 Testville", "Germany"},
		},
		{
			events.TypeOrderShipped, "order-shipped", "is on its way", events.StatusShipped,
			[]string{"Hello Ada Example,", "Carrier: Test Post", "Tracking number: T0", "€33.00", "12345 Testville"},
		},
		{
			events.TypeOrderCancelled, "order-cancelled", "is cancelled", events.StatusCancelled,
			[]string{"Hello Ada Example,", "As you asked", "About the money", "€33.00"},
		},
	} {
		order := stagetest.Place(t, w.pool, test.status)
		if status, body := order.Deliver(t, w.url, test.eventType); status != http.StatusOK {
			t.Fatalf("%s answered %d %s", test.change, status, body)
		}
		sent := w.onlyMail(order)
		w.checkEnvelope(order, sent, test.change)
		if !strings.Contains(sent.Subject, test.subject) || !strings.Contains(sent.Subject, order.Number) {
			t.Errorf("%s: subject %q", test.change, sent.Subject)
		}
		w.checkLink(order, sent)
		for _, want := range test.says {
			if !strings.Contains(sent.Text, want) {
				t.Errorf("%s doesn't say %q:\n%s", test.change, want, sent.Text)
			}
		}
		got := w.row(order, test.change)
		if got.State != "sent" || got.Attempts != 1 || got.MessageID != sent.MessageID || got.SentAt == nil || got.LastError != "" {
			t.Errorf("%s: on record is %+v, the mailbox has %s", test.change, got, sent.MessageID)
		}
	}
}

func (w *world) checkEnvelope(order stagetest.Order, sent mailbox.Message, change string) {
	w.tb.Helper()
	want := mailbox.Message{
		From: mailbox.Address{Email: "orders@shop.example.com", Name: "Small Hours"},
		To:   []mailbox.Address{{Email: "ada@example.com", Name: "Ada Example"}}, Categories: []string{change},
		CustomArgs: map[string]string{"order_id": order.ID.String(), "change": change},
	}
	got := mailbox.Message{From: sent.From, To: sent.To, Categories: sent.Categories, CustomArgs: sent.CustomArgs}
	if diff := cmp.Diff(want, got); diff != "" {
		w.tb.Errorf("%s (-want +got):\n%s", change, diff)
	}
}

// checkLink follows the link of a mail as far as its token.
func (w *world) checkLink(order stagetest.Order, sent mailbox.Message) {
	w.tb.Helper()
	key, err := ordertoken.New(tokenKey)
	if err != nil {
		w.tb.Fatal(err)
	}
	link := "https://shop.example.com/orders/" + order.ID.String() + "?token=" + key.Derive(order.ID)
	if !strings.Contains(sent.Text, link) || !strings.Contains(html.UnescapeString(sent.HTML), `href="`+link+`"`) {
		w.tb.Errorf("the mail has no link to the order:\n%s", sent.Text)
	}
}

func TestNoMailInBetween(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusInventoryUpdated)
	for _, eventType := range []string{events.TypeOrderPlaced, events.TypeInventoryUpdated} {
		if status, body := order.Deliver(t, w.url, eventType); status != http.StatusOK {
			t.Errorf("%s answered %d %s", eventType, status, body)
		}
	}
	if mails := w.mails(order); len(mails) > 0 {
		t.Errorf("%d mails about what customers don't hear of", len(mails))
	}
}

func TestOneMailForManyDuplicates(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			status, body := order.Deliver(t, w.url, events.TypePaymentVerified)
			if status != http.StatusOK && status != http.StatusServiceUnavailable {
				t.Errorf("a duplicate was answered %d %s", status, body)
			}
		})
	}
	group.Wait()
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.Attempts != 1 {
		t.Errorf("%d attempts, want 1", got.Attempts)
	}
}

// Every fault that may pass asks for the event to come again, says why on
// record, and ends in exactly one mail.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault     fault.Fault
		says      string
		uncertain bool
	}{
		"429":     {fault.Fault{Status: http.StatusTooManyRequests}, "send mail: status 429: too many mails", false},
		"500":     {fault.Fault{Status: http.StatusInternalServerError}, "send mail: status 500", false},
		"503":     {fault.Fault{Status: http.StatusServiceUnavailable}, "send mail: status 503", false},
		"401":     {fault.Fault{Status: http.StatusUnauthorized}, "send mail: status 401: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM", false},
		"cut off": {fault.Fault{Drop: true}, "EOF", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
			plan := test.fault
			plan.Count = 2
			w.inject(fault.Plan{Before: &plan})
			for attempt := 1; attempt <= 2; attempt++ {
				body := w.deliver(order, http.StatusServiceUnavailable)
				got := w.row(order, "order-placed")
				if got.State != "sending" || got.Attempts != attempt || !strings.Contains(got.LastError, test.says) {
					t.Errorf("after attempt %d, on record is %+v", attempt, got)
				}
				wantNothingPersonal(t, body+got.LastError)
			}
			w.deliver(order, http.StatusOK)
			w.onlyMail(order)
			got := w.row(order, "order-placed")
			if got.State != "sent" || got.Attempts != 3 || got.LastError != "" || got.Uncertain != map[bool]int{true: 2}[test.uncertain] {
				t.Errorf("in the end, on record is %+v", got)
			}
		})
	}
}

func wantNothingPersonal(t *testing.T, text string) {
	t.Helper()
	for _, personal := range []string{"Ada", "ada@", "Test Street", "Testville", apiKey} {
		if strings.Contains(text, personal) {
			t.Errorf("an error tells %q: %s", personal, text)
		}
	}
}

func TestTimeoutBeforeAcceptance(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"SENDGRID_TIMEOUT": "1500ms"})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.inject(fault.Plan{Before: &fault.Fault{Delay: fault.Duration(time.Minute), Drop: true, Count: 1}})
	w.deliver(order, http.StatusServiceUnavailable)
	if got := w.row(order, "order-placed"); got.State != "sending" || !strings.Contains(got.LastError, "deadline") {
		t.Errorf("on record is %+v, want a timeout", got)
	}
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
}

// SendGrid accepted the mail but the answer was lost: nobody here can know, and
// there is no key to send it with again. It is sent twice rather than perhaps
// never; the record shows that of one attempt nobody knows the outcome.
func TestTimeoutAfterAcceptance(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"SENDGRID_TIMEOUT": "1500ms"})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.inject(fault.Plan{After: &fault.Fault{Delay: fault.Duration(time.Minute), Drop: true, Count: 1}})
	w.deliver(order, http.StatusServiceUnavailable)
	w.onlyMail(order)
	w.deliver(order, http.StatusOK)
	if mails := w.mails(order); len(mails) != 2 {
		t.Errorf("%d mails, want 2", len(mails))
	}
	if got := w.row(order, "order-placed"); got.State != "sent" || got.Attempts != 2 || got.Uncertain != 1 {
		t.Errorf("on record is %+v", got)
	}
	w.deliver(order, http.StatusOK)
	if mails := w.mails(order); len(mails) != 2 {
		t.Errorf("%d mails after a duplicate, want 2", len(mails))
	}
}

// A mail that can't be sent is given up, and the delivery is done: it neither
// comes back nor becomes a dead letter.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare    func(w *world, order stagetest.Order)
		refusedFor string
		says       string
	}{
		"400": {func(w *world, _ stagetest.Order) {
			w.inject(fault.Plan{Before: &fault.Fault{Status: http.StatusBadRequest, Count: 1}})
		}, "mail_refused", "send mail: mail refused: status 400"},
		"413": {func(w *world, _ stagetest.Order) {
			w.inject(fault.Plan{Before: &fault.Fault{Status: http.StatusRequestEntityTooLarge, Count: 1}})
		}, "mail_refused", "send mail: mail refused: status 413"},
		"an address SendGrid doesn't take": {func(w *world, order stagetest.Order) {
			w.exec(`update order_contacts set email = $2 where order_id = $1`, order.ID, strings.Repeat("a", 400)+"@example.com")
		}, "address_refused", "send mail: mail refused: status 400 (personalizations.0.to.0.email)"},
		"address with a second one in it": {func(w *world, order stagetest.Order) {
			w.exec(`update order_contacts set email = E'ada@example.com\r\nBcc: eve@example.com' where order_id = $1`, order.ID)
		}, "address_invalid", "mail refused: not a mail address"},
		"contact erased": {func(w *world, order stagetest.Order) {
			w.exec(`delete from order_contacts where order_id = $1`, order.ID)
		}, "contact_erased", "mail refused: the contact of the order was erased"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
			test.prepare(w, order)
			for range 2 {
				w.deliver(order, http.StatusOK)
			}
			got := w.row(order, "order-placed")
			if got.State != "refused" || got.RefusedFor != test.refusedFor || got.LastError != test.says || got.Attempts != 1 || got.SentAt != nil {
				t.Errorf("on record is %+v, want %q", got, test.says)
			}
			wantNothingPersonal(t, got.LastError)
			if mails := w.mails(order); len(mails) > 0 {
				t.Errorf("%d mails were sent", len(mails))
			}
		})
	}
}

// A process that dies while it sends leaves its claim. Nobody else sends before
// the lease is over; afterwards somebody does.
func TestClaimOfTheDead(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.exec(`insert into notifications (order_id, change, state, claimed_at) values ($1, 'order-placed', 'sending', clock_timestamp())`, order.ID)
	if body := w.deliver(order, http.StatusServiceUnavailable); !strings.Contains(body, "being sent by another delivery") {
		t.Errorf("answered %q", body)
	}
	if mails := w.mails(order); len(mails) > 0 {
		t.Error("sent a mail that was claimed by another")
	}
	w.exec(`update notifications set claimed_at = clock_timestamp() - interval '25 seconds' where order_id = $1`, order.ID)
	w.deliver(order, http.StatusServiceUnavailable) // the lease is 2 x (5 s + 8 s)
	w.exec(`update notifications set claimed_at = clock_timestamp() - interval '27 seconds' where order_id = $1`, order.ID)
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
	if got := w.row(order, "order-placed"); got.Attempts != 2 || got.Uncertain != 1 || got.State != "sent" {
		t.Errorf("on record is %+v", got)
	}
}

// A process that dies between the mark and the end of the delivery has sent
// the mail: the redelivery only takes note.
func TestMarkedButNotHandled(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.deliver(order, http.StatusOK)
	w.exec(`delete from order_events where order_id = $1 and source = 'customer-notification'`, order.ID)
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
}

// Whoever delivers hangs up while the mail is on its way: it is seen through
// and marked, so that the redelivery doesn't send it again.
func TestDeliveryHungUp(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.inject(fault.Plan{After: &fault.Fault{Delay: fault.Duration(1500 * time.Millisecond), Drop: false, Count: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if response, err := http.DefaultClient.Do(order.Request(t, ctx, w.url, events.TypePaymentVerified)); err == nil {
			response.Body.Close() //nolint:errcheck,gosec // it was meant to fail
			t.Errorf("a delivery that was hung up was answered %d", response.StatusCode)
		}
	})
	w.await(func() bool { return len(w.mails(order)) == 1 })
	cancel()
	group.Wait()
	w.await(func() bool { return w.row(order, "order-placed").State == "sent" })
	w.deliver(order, http.StatusOK)
	w.onlyMail(order)
}

func (w *world) await(done func() bool) {
	w.tb.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			w.tb.Fatal("waited 15 s in vain")
		}
	}
}
