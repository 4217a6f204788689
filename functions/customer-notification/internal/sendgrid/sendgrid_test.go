package sendgrid_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
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

func TestAnswers(t *testing.T) {
	t.Parallel()
	const complaint = `{"errors":[{"message":"ada@example.com is not valid","field":"personalizations.0.to.0.email"},{"field":"<Ada>"},{"field":null}]}`
	for _, test := range []struct {
		status  int
		body    string
		refused bool
		text    string
	}{
		{http.StatusBadRequest, complaint, true, "send mail: mail refused: status 400 (personalizations.0.to.0.email)"},
		{http.StatusBadRequest, `not JSON`, true, "send mail: mail refused: status 400"},
		{http.StatusBadRequest, `{}`, true, "send mail: mail refused: status 400"},
		{http.StatusRequestEntityTooLarge, strings.Repeat("x", 1<<20), true, "send mail: mail refused: status 413"},
		{http.StatusUnauthorized, "", false, "send mail: status 401: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM"},
		{http.StatusForbidden, "", false, "send mail: status 403: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM"},
		{http.StatusTooManyRequests, "", false, "send mail: status 429: too many mails"},
		{http.StatusInternalServerError, complaint, false, "send mail: status 500"},
		{http.StatusServiceUnavailable, "", false, "send mail: status 503"},
		{http.StatusNotFound, "", false, "send mail: status 404"},
		{http.StatusOK, "", false, "send mail: status 200"},
		{http.StatusTemporaryRedirect, "", false, "send mail: status 307"},
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
		if err == nil || err.Error() != test.text || errors.Is(err, sendgrid.ErrRefused) != test.refused {
			t.Errorf("for status %d, Send() = %v, want %q", test.status, err, test.text)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	client := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := client.Send(t.Context(), aMail())
	if err == nil || errors.Is(err, sendgrid.ErrRefused) {
		t.Errorf("for a cut connection, Send() = %v, want an error that is worth another attempt", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Send(ctx, aMail()); !errors.Is(err, context.Canceled) {
		t.Errorf("when cancelled, Send() = %v", err)
	}
	for _, host := range []string{"http://127.0.0.1:1", "::not a url"} {
		_, err := sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: host, Timeout: time.Second}).Send(t.Context(), aMail())
		if err == nil || errors.Is(err, sendgrid.ErrRefused) || strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "SG.key") {
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
