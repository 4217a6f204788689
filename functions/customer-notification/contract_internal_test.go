//go:build contracts

// Checks against what SendGrid publishes, which isn't ours to keep here: make
// verify-contracts runs it, with CONTRACTS_DIR naming the folder.

package function

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
)

const sendPath = "/v3/mail/send"

func loadContract(t *testing.T) *openapi3.T {
	t.Helper()
	path := filepath.Join(os.Getenv("CONTRACTS_DIR"), "sendgrid-mail-send.json")
	contract, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatalf("load SendGrid's contract; CONTRACTS_DIR must name the folder with sendgrid-mail-send.json: %v", err)
	}
	if err := contract.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return contract
}

func validate(ctx context.Context, contract *openapi3.T, r *http.Request) error {
	path := contract.Paths.Value(sendPath)
	return openapi3filter.ValidateRequest(ctx, &openapi3filter.RequestValidationInput{
		Request: r,
		Route:   &routers.Route{Spec: contract, Path: sendPath, PathItem: path, Method: http.MethodPost, Operation: path.Post},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true},
	})
}

// standIn is a SendGrid that answers as its contract says.
func standIn(t *testing.T) *sendgrid.Client {
	t.Helper()
	contract := loadContract(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != sendPath || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if err := validate(r.Context(), contract, r); err != nil {
			t.Errorf("SendGrid would not take the mail: %v", err)
		}
		w.Header().Set("X-Message-Id", "message")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return sendgrid.NewClient(sendgrid.Config{Key: "SG.key", Host: server.URL, Timeout: time.Minute})
}

func TestContractOfSendGrid(t *testing.T) {
	t.Parallel()
	client := standIn(t)
	letters, err := letter.NewWriter("en")
	if err != nil {
		t.Fatal(err)
	}
	price := events.Money{Amount: 1250, Currency: "EUR"}
	for _, data := range []events.Data{
		events.PaymentVerified{}, events.OrderShipped{Carrier: "Post", TrackingNumber: "T1"},
		events.OrderCancelled{Reason: events.ReasonOutOfStock, Short: []events.Shortage{{SKU: "TEA", Wanted: 1}}},
	} {
		for _, name := range []string{"Ada Example", "", "<b>\r\nBcc: x@example.com;,\"" + strings.Repeat("長", 3000)} {
			news, _ := newsOf(data)
			written, err := letters.Write(news, letter.Order{
				Number: "OF-7QK2M-X4ZP9", Link: "https://shop.example.com/orders/1?token=x", Name: name,
				Lines: []letter.Line{{SKU: "TEA", Name: name, Quantity: 1, UnitPrice: price}}, Total: price,
			})
			if err != nil {
				t.Fatal(err)
			}
			from, to := mail.Address{Name: "Shop", Address: "orders@shop.example.com"}, mail.Address{Name: name, Address: "ada@example.com"}
			if _, err := client.Send(t.Context(), mailOf(news.Change, uuid.New(), from, to, written)); err != nil {
				t.Errorf("%s: %v", news.Change, err)
			}
		}
	}
}

// A check that takes everything checks nothing.
func TestContractRefusesNonsense(t *testing.T) {
	t.Parallel()
	contract := loadContract(t)
	for _, body := range []string{
		`{}`, `{"subject":"s"}`,
		`{"personalizations":[{"to":[{"name":"no address"}]}],"from":{"email":"a@b.example"},"subject":"s","content":[{"type":"text/plain","value":"x"}]}`,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.sendgrid.com"+sendPath, io.NopCloser(strings.NewReader(body)))
		r.Header.Set("Content-Type", "application/json")
		if err := validate(t.Context(), contract, r); err == nil {
			t.Errorf("the contract takes %s", body)
		}
	}
}
