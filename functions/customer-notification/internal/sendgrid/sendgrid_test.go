package sendgrid_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
)

func aMail() sendgrid.Mail {
	return sendgrid.Mail{
		From:    mail.Address{Name: "Small Hours", Address: "orders@shop.example.com"},
		To:      mail.Address{Name: "Ada Example", Address: "ada@example.com"},
		Subject: "We have your order", Text: "Hello Ada", HTML: "<p>Hello Ada</p>", Category: "order-placed",
		Args: map[string]string{"order_id": "0198", "change": "order-placed"},
	}
}

// serve runs a stand-in for SendGrid and returns a client of it.
func serve(t *testing.T, answer http.HandlerFunc) *sendgrid.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: server.URL + "/", Timeout: 10 * time.Second})
}

func TestSend(t *testing.T) {
	t.Parallel()
	var body map[string]any
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v3/mail/send" || r.Header.Get("Authorization") != "Bearer SG.key" {
			t.Errorf("asked %s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Message-Id", "message-1")
		w.WriteHeader(http.StatusAccepted)
	})
	id, err := client.Send(t.Context(), aMail())
	if err != nil || id != "message-1" {
		t.Fatalf("Send() = %q, %v", id, err)
	}
	want := map[string]any{
		"from":    map[string]any{"name": "Small Hours", "email": "orders@shop.example.com"},
		"subject": "We have your order",
		"personalizations": []any{map[string]any{
			"to":          []any{map[string]any{"name": "Ada Example", "email": "ada@example.com"}},
			"custom_args": map[string]any{"order_id": "0198", "change": "order-placed"},
		}},
		"content": []any{
			map[string]any{"type": "text/plain", "value": "Hello Ada"}, map[string]any{"type": "text/html", "value": "<p>Hello Ada</p>"},
		},
		"categories": []any{"order-placed"},
		"headers":    map[string]any{"Auto-Submitted": "auto-generated"},
		"tracking_settings": map[string]any{
			"click_tracking": map[string]any{"enable": false, "enable_text": false}, "open_tracking": map[string]any{"enable": false},
		},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// Only SendGrid can refuse a mail for good, in its own words; and where nobody
// knows whether it took one, that is said.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const (
		complaint = `{"errors":[{"message":"ada@example.com is not valid","field":"personalizations.0.to.0.email"},{"field":"<Ada>","message":"x"},{"field":null,"message":"x"}]}`
		recipient = `{"errors":[{"message":"not valid","field":"personalizations.0.to.0.email","help":null},{"message":"not valid","field":"personalizations.0.to.0.name"}]}`
		sender    = `{"errors":[{"message":"not valid","field":"from.email"}]}`
		bare      = `{"errors":[{"message":"Bad Request","field":null,"help":null}]}`
		taken     = "no telling whether it was taken: "
	)
	type kind int
	const (
		passing kind = iota
		uncertain
		refused
		refusedRecipient
	)
	for _, test := range []struct {
		status int
		body   string
		kind   kind
		text   string
	}{
		{http.StatusBadRequest, complaint, refused, "mail refused: status 400 (personalizations.0.to.0.email)"},
		{http.StatusBadRequest, recipient, refusedRecipient, "mail refused: status 400 (personalizations.0.to.0.email, personalizations.0.to.0.name)"},
		{http.StatusBadRequest, bare, refused, "mail refused: status 400"},
		{http.StatusRequestEntityTooLarge, bare, refused, "mail refused: status 413"},
		{http.StatusBadRequest, sender, passing, "status 400: MAIL_FROM is not accepted (from.email)"},
		{http.StatusBadRequest, "", passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `<html>plain HTTP to a TLS port</html>`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `{}`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `null`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `{"errors":[]}`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `{"errors":"x"}`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `{"errors":["x"]}`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, `{"errors":[{"title":"denied","status":"400"}]}`, passing, "status 400, not in SendGrid's words"},
		{http.StatusBadRequest, bare + `<html>`, passing, "status 400, not in SendGrid's words"},
		{http.StatusRequestEntityTooLarge, strings.Repeat("x", 1<<20), passing, "status 413, not in SendGrid's words"},
		{http.StatusRequestEntityTooLarge, strings.Repeat(" ", 1<<20) + bare, passing, "status 413, not in SendGrid's words"},
		{http.StatusUnauthorized, bare, passing, "status 401: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM"},
		{http.StatusForbidden, "", passing, "status 403: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM"},
		{http.StatusTooManyRequests, "", passing, "status 429: too many mails"},
		{http.StatusNotFound, "", passing, "status 404, not in SendGrid's words"},
		{http.StatusTemporaryRedirect, "", passing, "status 307, not in SendGrid's words"},
		{http.StatusInternalServerError, complaint, passing, "status 500"},
		{http.StatusServiceUnavailable, bare, passing, "status 503"},
		{http.StatusServiceUnavailable, "", uncertain, taken + "status 503, not in SendGrid's words"},
		{http.StatusBadGateway, "<html>", uncertain, taken + "status 502, not in SendGrid's words"},
		{http.StatusGatewayTimeout, "", uncertain, taken + "status 504, not in SendGrid's words"},
		{http.StatusOK, "", uncertain, taken + "status 200, not in SendGrid's words"},
	} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v3/mail/send" {
				t.Errorf("the mail went on to %s", r.URL)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.status)
			io.WriteString(w, test.body) //nolint:errcheck,gosec // the client may not read it all
		})
		_, err := client.Send(t.Context(), aMail())
		if err == nil || err.Error() != "send mail: "+test.text {
			t.Errorf("for status %d %.80s, Send() = %v, want %q", test.status, test.body, err, test.text)
		}
		refusal, isRefusal := errors.AsType[*sendgrid.RefusalError](err)
		if isRefusal != (test.kind >= refused) || isRefusal && refusal.OfRecipient() != (test.kind == refusedRecipient) {
			t.Errorf("for status %d %.80s, the refusal is %v", test.status, test.body, refusal)
		}
		if errors.Is(err, sendgrid.ErrUncertain) != (test.kind == uncertain) {
			t.Errorf("for status %d %.80s, uncertain is %t", test.status, test.body, errors.Is(err, sendgrid.ErrUncertain))
		}
	}
}

// An answer that breaks off is not SendGrid's word.
func TestAnswerBreaksOff(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":[{"message":"`) //nolint:errcheck,gosec // it is meant to break off
	})
	_, err := client.Send(t.Context(), aMail())
	if _, isRefusal := errors.AsType[*sendgrid.RefusalError](err); err == nil || isRefusal {
		t.Errorf("Send() = %v, want an error that is worth another attempt", err)
	}
}

// A port that wants TLS answers 400 to whoever speaks plain HTTP.
func TestPlainToTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host := "http://" + server.Listener.Addr().String()
	_, err := sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: host, Timeout: 10 * time.Second}).Send(t.Context(), aMail())
	if _, isRefusal := errors.AsType[*sendgrid.RefusalError](err); isRefusal || err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("Send() = %v, want an error that is worth another attempt", err)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	client := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := client.Send(t.Context(), aMail())
	if _, isRefusal := errors.AsType[*sendgrid.RefusalError](err); isRefusal || !errors.Is(err, sendgrid.ErrUncertain) {
		t.Errorf("for a cut connection, Send() = %v, want one that nobody knows the outcome of", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Send(ctx, aMail()); !errors.Is(err, context.Canceled) || errors.Is(err, sendgrid.ErrUncertain) {
		t.Errorf("when cancelled before, Send() = %v", err)
	}
	for _, host := range []string{"http://127.0.0.1:1", "::not a url"} {
		_, err := sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: host, Timeout: time.Second}).Send(t.Context(), aMail())
		if err == nil || errors.Is(err, sendgrid.ErrUncertain) || strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "SG.key") {
			t.Errorf("with host %q, Send() = %v", host, err)
		}
	}
}

// The client is shared by all deliveries; each mail must stay its own.
func TestConcurrentMails(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Subject string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Message-Id", body.Subject)
		w.WriteHeader(http.StatusAccepted)
	})
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			m := aMail()
			m.Subject = strings.Repeat("x", i+1)
			if id, err := client.Send(t.Context(), m); err != nil || id != m.Subject {
				t.Errorf("Send(%q) = %q, %v", m.Subject, id, err)
			}
		})
	}
	group.Wait()
}
