package function_test

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// report is the answer to a ping.
type report struct {
	Requests, Sent, Refused, Failed, Expired int
}

// ping does what the PingSource does each minute.
func (w *world) ping() report {
	w.tb.Helper()
	request, err := http.NewRequestWithContext(w.tb.Context(), http.MethodPost, w.url, strings.NewReader("{}"))
	if err != nil {
		w.tb.Fatal(err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": uuid.NewString(), "Ce-Source": "/test", "Ce-Type": "dev.knative.sources.ping",
		"Content-Type": "application/json",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		w.tb.Fatalf("ping: %d %s, %v", response.StatusCode, body, err)
	}
	var done report
	if err := json.Unmarshal(body, &done); err != nil {
		w.tb.Fatal(err)
	}
	return done
}

// ask notes a request for a link, as the storefront does.
func (w *world) ask(number, email, language string) {
	w.tb.Helper()
	sum := sha256.Sum256([]byte(email))
	w.exec(`insert into order_link_requests values ($1, $2, $3, now()) on conflict do nothing`, number, sum[:], language)
}

func (w *world) wantPing(want report) {
	w.tb.Helper()
	if got := w.ping(); got != want {
		w.tb.Errorf("ping: %+v, want %+v", got, want)
	}
}

// email sets the address of an order.
func (w *world) email(order stagetest.Order, address string) {
	w.tb.Helper()
	w.exec(`update order_contacts set email = $2 where order_id = $1`, order.ID, address)
}

func TestLinkIsSentToWhoOrdered(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.email(order, "Ada@Example.com")
	w.ask(order.Number, "ada@example.com", "de")
	w.wantPing(report{Requests: 1, Sent: 1})
	mail := w.onlyMail(order)
	if !strings.HasPrefix(mail.Subject, "Der Link zu Ihrer Bestellung") || mail.CustomArgs["change"] != "order-link" ||
		len(mail.To) != 1 || mail.To[0].Email != "Ada@Example.com" || !strings.Contains(mail.Text, "/orders/"+order.ID.String()+"?token=") {
		t.Errorf("got %q to %v: %s", mail.Subject, mail.To, mail.Text)
	}
	w.wantPing(report{})
	w.wantLawful()
}

// Who doesn't know both gets nothing, and nothing stays of having asked.
func TestNoLinkForWhoGuesses(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	other := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.email(order, "ada@example.com")
	w.email(other, "eve@example.com")
	w.ask(order.Number, "eve@example.com", "en")
	w.ask("OF-00000-00000", "ada@example.com", "en")
	w.wantPing(report{Requests: 2})
	if got := len(w.mails(order)) + len(w.mails(other)); got != 0 {
		t.Errorf("%d mails, want none", got)
	}
	var left int
	if err := w.pool.QueryRow(t.Context(), `select (select count(*) from order_link_requests) + (select count(*) from order_link_mails)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// A mailbox isn't filled by who asks again and again; later the link comes again.
func TestLinkIsSentOnceInAWhile(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.email(order, "ada@example.com")
	w.ask(order.Number, "ada@example.com", "en")
	w.wantPing(report{Requests: 1, Sent: 1})
	w.ask(order.Number, "ada@example.com", "en")
	w.wantPing(report{Requests: 1})
	w.exec(`update order_link_mails set requested_at = requested_at - interval '11 minutes'`)
	w.ask(order.Number, "ada@example.com", "de")
	w.wantPing(report{Requests: 1, Sent: 1})
	if got := w.mails(order); len(got) != 2 || !strings.HasPrefix(got[0].Subject, "Der Link") {
		t.Errorf("%d mails, want a second one", len(got))
	}
}

// A mail that fails is tried by a later ping, and not again by the same.
func TestLinkSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.email(order, "ada@example.com")
	w.ask(order.Number, "ada@example.com", "en")
	w.inject(fault.Plan{Before: &fault.Fault{Path: "/v3/mail/send", Status: http.StatusServiceUnavailable, Count: 1}})
	w.wantPing(report{Requests: 1, Failed: 1})
	w.wantPing(report{})
	w.exec(`update order_link_mails set claimed_at = claimed_at - interval '10 minutes'`)
	w.wantPing(report{Sent: 1})
	w.onlyMail(order)
}

func TestLinkThatCantBeSentIsGivenUp(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.email(order, "ada@example.com")
	w.ask(order.Number, "ada@example.com", "en")
	w.inject(fault.Plan{Before: &fault.Fault{Path: "/v3/mail/send", Status: http.StatusServiceUnavailable, Count: 1}})
	w.wantPing(report{Requests: 1, Failed: 1})
	w.exec(`update order_link_mails set requested_at = requested_at - interval '61 minutes'`)
	w.wantPing(report{Expired: 1})
	gone := stagetest.Place(t, w.pool, events.StatusPlaced)
	w.exec(`insert into order_link_mails (order_id, language, state, requested_at) values ($1, 'en', 'due', now())`, gone.ID)
	w.exec(`delete from order_contacts where order_id = $1`, gone.ID)
	w.wantPing(report{Refused: 1})
	if len(w.mails(order)) != 0 || len(w.mails(gone)) != 0 {
		t.Error("a mail came all the same")
	}
}

// An order's mails are in the language that its customer read.
func TestMailsAreInTheOrdersLanguage(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"MAIL_LOCALE": "de"})
	for language, want := range map[string]string{"en": "We have your order", "de": "Ihre Bestellung", "": "Ihre Bestellung", "fr": "Ihre Bestellung"} {
		order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
		w.exec(`update order_contacts set language = $2 where order_id = $1`, order.ID, language)
		w.deliver(order, http.StatusOK)
		if got := w.onlyMail(order).Subject; !strings.HasPrefix(got, want) {
			t.Errorf("in %q the subject is %q, want %q", language, got, want)
		}
	}
}
