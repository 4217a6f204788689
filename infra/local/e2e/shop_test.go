package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// What customers of these tests are called; none of it may be found where it
// doesn't belong.
const (
	customerName  = "Żaneta Øverby-O’Malley"
	customerEmail = "zaneta.overby@customers.example"
	customerLine1 = "77 Unmistakable Lane"
)

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// basket is the body of an order.
func basket(payment string, lines ...line) map[string]any {
	return map[string]any{
		"customer": map[string]any{"name": customerName, "email": customerEmail},
		"shipping_address": map[string]any{
			"line1": customerLine1, "city": "Kraków", "postal_code": "30-001", "country": "PL",
		},
		"lines": lines, "payment_method": payment,
	}
}

// accepted is the answer to an order.
type accepted struct {
	ID     string `json:"id"`
	Number string `json:"number"`
	Status string `json:"status"`
	Token  string `json:"token"`
	Total  struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	} `json:"total"`
	Links struct {
		Self   string `json:"self"`
		Events string `json:"events"`
		Page   string `json:"page"`
	} `json:"links"`
}

// order is what the API tells of one.
type order struct {
	Status       string `json:"status"`
	CancelReason string `json:"cancel_reason"`
	Payment      *struct {
		State string `json:"state"`
	} `json:"payment"`
	Shipment *struct {
		TrackingNumber string `json:"tracking_number"`
	} `json:"shipment"`
	Timeline []struct {
		Event string `json:"event"`
	} `json:"timeline"`
}

func (o order) events() []string {
	var events []string
	for _, step := range o.Timeline {
		events = append(events, step.Event)
	}
	return events
}

// reply is an HTTP response, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// call makes an HTTP request.
func call(t *testing.T, method, url string, body io.Reader, headers ...string) reply {
	t.Helper()
	answer, err := try(method, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// try is call for who expects that nobody is there.
func try(method, url string, body io.Reader, headers ...string) (reply, error) {
	request, err := http.NewRequest(method, url, body) //nolint:noctx // loopback, and the client has a timeout
	if err != nil {
		return reply{}, err
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, read}, err
}

func (r reply) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("status %d with %.300s: %v", r.status, r.body, err)
	}
}

func (s *system) shop(path string) string { return s.env["SHOP_URL"] + path }

// post sends an order.
func (s *system) post(t *testing.T, body any, headers ...string) reply {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return call(t, http.MethodPost, s.shop("/api/orders"), bytes.NewReader(content),
		append([]string{"Content-Type", "application/json"}, headers...)...)
}

// place sends an order that must be accepted.
func (s *system) place(t *testing.T, body any, headers ...string) accepted {
	t.Helper()
	answer := s.post(t, body, headers...)
	if answer.status != http.StatusAccepted {
		t.Fatalf("POST /api/orders: status %d, %s", answer.status, answer.body)
	}
	var made accepted
	answer.decode(t, &made)
	return made
}

// read asks the shop for an order.
func (s *system) read(t *testing.T, made accepted) order {
	t.Helper()
	answer := call(t, http.MethodGet, s.shop("/api/orders/"+made.ID), nil, "Authorization", "Bearer "+made.Token)
	if answer.status != http.StatusOK {
		t.Fatalf("GET order: status %d, %s", answer.status, answer.body)
	}
	var read order
	answer.decode(t, &read)
	return read
}

// await waits until an order has a status.
func (s *system) await(t *testing.T, made accepted, status string, limit time.Duration) order {
	t.Helper()
	var read order
	localtest.Eventually(t, fmt.Sprintf("order %s is %s", made.Number, status), limit, func() bool {
		read = s.read(t, made)
		return read.Status == status
	})
	return read
}

// mail is what the mailbox has for an order.
type mail struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
	To      []struct {
		Email string `json:"email"`
	} `json:"to"`
	CustomArgs map[string]string `json:"custom_args"`
}

func (s *system) mails(t *testing.T, made accepted) map[string]mail {
	t.Helper()
	var list struct {
		Messages []mail `json:"messages"`
	}
	call(t, http.MethodGet, s.env["SENDGRID_HOST"]+"/api/messages?order="+made.ID, nil).decode(t, &list)
	found := map[string]mail{}
	for _, one := range list.Messages {
		change := one.CustomArgs["change"]
		if _, twice := found[change]; twice {
			t.Errorf("order %s: two mails that tell of %s", made.Number, change)
		}
		found[change] = one
	}
	return found
}

// awaitMails waits until an order has its mails, which must be exactly these.
func (s *system) awaitMails(t *testing.T, made accepted, changes ...string) map[string]mail {
	t.Helper()
	var found map[string]mail
	localtest.Eventually(t, fmt.Sprintf("order %s has mails of %s", made.Number, strings.Join(changes, ", ")), 10*time.Second, func() bool {
		found = s.mails(t, made)
		return len(found) >= len(changes)
	})
	for _, change := range changes {
		if _, there := found[change]; !there || len(found) != len(changes) {
			t.Errorf("order %s has mails %v, want %v", made.Number, found, changes)
		}
	}
	return found
}

// awaitMail waits for one mail of an order, and returns all that came so far.
func (s *system) awaitMail(t *testing.T, made accepted, change string) (found map[string]mail) {
	t.Helper()
	localtest.Eventually(t, fmt.Sprintf("order %s has the mail of %s", made.Number, change), 10*time.Second, func() bool {
		found = s.mails(t, made)
		_, there := found[change]
		return there
	})
	return found
}
