package sendgrid_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
)

// FuzzAnswers has SendGrid, or whoever is in its place, answer anything. Only 202 is
// an acceptance, only SendGrid's own words are a refusal for good, and no error
// repeats what a mail may have in it.
func FuzzAnswers(f *testing.F) {
	for _, status := range []uint16{200, 202, 204, 301, 400, 401, 403, 404, 413, 429, 500, 502, 504} {
		for _, body := range []string{
			"", "null", "{}", "[]", "<html>ada@example.com", `{"errors":[]}`, `{"errors":null}`, `{"errors":[null]}`, `{"errors":[{}]}`, `{"errors":{"message":"x"}}`,
			`{"errors":[{"message":"bad ada@example.com","field":"personalizations.0.to.0.email"}]}`, `{"errors":[{"message":"bad","field":"from.email"}]}`,
			`{"errors":[{"message":"bad","field":"ada@example.com"}]}`, `{"errors":[{"message":"x","field":null,"help":5}]}`, strings.Repeat("[", 20000),
			`{"errors":[{"message":"x"},{"message":""}]}`, `{"errors":[{"message":"x","field":"` + strings.Repeat("a", 5000) + `"}]}`, "\xff\xfe",
		} {
			f.Add(status, []byte(body))
		}
	}
	var status int
	var said []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(said)
	}))
	f.Cleanup(server.Close)
	client := sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: server.URL, Timeout: 10 * time.Second})
	f.Fuzz(func(t *testing.T, code uint16, body []byte) {
		status, said = 200+int(code)%400, body
		_, err := client.Send(t.Context(), aMail())
		if (err == nil) != (status == http.StatusAccepted) {
			t.Fatalf("%d %q: Send() = %v", status, body, err)
		}
		if err == nil {
			return
		}
		refusal := new(sendgrid.RefusalError)
		if errors.As(err, &refusal) && ((status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge) || !strings.Contains(strings.ToLower(string(body)), `"errors"`)) {
			t.Errorf("%d %q is taken for a refusal: %v", status, body, err)
		}
		if errors.As(err, &refusal) && errors.Is(err, sendgrid.ErrUncertain) {
			t.Errorf("%d %q is a refusal, and uncertain as well: %v", status, body, err)
		}
		if len(err.Error()) > 500 || strings.Contains(err.Error(), "@") || strings.Contains(err.Error(), "SG.key") {
			t.Errorf("of %d %q the error says %v", status, body, err)
		}
	})
}
