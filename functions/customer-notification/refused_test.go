package function_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// Somebody on the way answers 400 and 413, who isn't SendGrid: the mail waits
// until that is put right.
func TestSomebodyElseRefuses(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]http.HandlerFunc{
		"a proxy's 400":   answer(http.StatusBadRequest, "<html><body>The plain HTTP request was sent to HTTPS port</body></html>"),
		"a proxy's 413":   answer(http.StatusRequestEntityTooLarge, "<html><body>Request Entity Too Large</body></html>"),
		"a proxy's JSON":  answer(http.StatusBadRequest, `{"message": "no Route matched with those values"}`),
		"an empty answer": answer(http.StatusBadRequest, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEgress(t)
			w := start(t, map[string]string{"SENDGRID_HOST": e.url})
			order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
			e.do(refusal, refusal, w.through())
			for attempt := 1; attempt <= 2; attempt++ {
				body := w.deliver(order, http.StatusServiceUnavailable)
				got := w.row(order, "order-placed")
				if got.State != "sending" || got.Attempts != attempt || !strings.Contains(got.LastError, "not in SendGrid's words") {
					t.Errorf("after attempt %d, on record is %+v", attempt, got)
				}
				wantNothingPersonal(t, body+got.LastError)
			}
			w.deliver(order, http.StatusOK)
			w.onlyMail(order)
			if got := w.row(order, "order-placed"); got.State != "sent" || got.Uncertain != 0 {
				t.Errorf("in the end, on record is %+v", got)
			}
		})
	}
}

// A sender that SendGrid doesn't take is in the settings, and in every mail: none
// is lost for it.
func TestSenderRefused(t *testing.T) {
	t.Parallel()
	w := start(t, map[string]string{"MAIL_FROM": strings.Repeat("a", 400) + "@shop.example.com"})
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	w.deliver(order, http.StatusServiceUnavailable)
	if got := w.row(order, "order-placed"); got.State != "sending" || got.LastError != "send mail: status 400: MAIL_FROM is not accepted (from.email)" {
		t.Errorf("on record is %+v", got)
	}
}
