package pipelinetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/shared/invariants"
)

// Order is what a customer is told of an order that was taken.
type Order struct {
	ID     uuid.UUID    `json:"id"`
	Number string       `json:"number"`
	Token  string       `json:"token"`
	Total  events.Money `json:"total"`
}

// Answer is a response, read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Basket is the body of an order of so many of one article.
func Basket(sku string, quantity int, method string) string {
	return fmt.Sprintf(`{
		"customer": {"name": "Ada Okafor", "email": "ada@customers.example"},
		"shipping_address": {"line1": "Lange Violettestraat 12", "city": "Gent", "postal_code": "9000", "country": "BE"},
		"lines": [{"sku": %q, "quantity": %d}], "payment_method": %q}`, sku, quantity, method)
}

// Post sends a customer's request to the shop; key may be empty.
func (p *Pipeline) Post(ctx context.Context, path, body, key string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.gates["storefront"].URL+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	// With a connection of its own, or net/http would try again what has a key.
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, read}, err
}

// Place sends an order that must be taken.
func (p *Pipeline) Place(t *testing.T, body string) Order {
	t.Helper()
	answer, err := p.Post(t.Context(), "/api/orders", body, "")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Order(t)
}

// Order is the order that an answer tells of.
func (a Answer) Order(t *testing.T) Order {
	t.Helper()
	var order Order
	if err := json.Unmarshal(a.Body, &order); a.Status != http.StatusAccepted || err != nil {
		t.Fatalf("an order is answered by %d %s, %v, want 202", a.Status, a.Body, err)
	}
	return order
}

// Cancel is the customer's wish, and must be granted.
func (p *Pipeline) Cancel(t *testing.T, order Order) {
	t.Helper()
	answer, err := p.Post(t.Context(), "/api/orders/"+order.ID.String()+"/cancel?token="+order.Token, "", "")
	if err != nil || answer.Status != http.StatusAccepted {
		t.Fatalf("a cancellation is answered by %d %s, %v, want 202", answer.Status, answer.Body, err)
	}
}

// Status is where an order stands, with the reason if it is cancelled.
func (p *Pipeline) Status(t *testing.T, order Order) string {
	t.Helper()
	return p.Ask(t, `select status || coalesce(' ' || cancel_reason, '') from orders where id = $1`, order.ID)
}

// patience is how long a test waits for what has to come: long, since it costs time
// only where it doesn't come, and machines are slow.
const patience = 2 * time.Minute

// Await waits until an order stands somewhere.
func (p *Pipeline) Await(t *testing.T, order Order, status string) {
	t.Helper()
	localtest.Eventually(t, "the order is "+status, patience, func() bool { return p.Status(t, order) == status })
}

// AwaitAnswer waits until the database gives an answer.
func (p *Pipeline) AwaitAnswer(t *testing.T, want, question string, args ...any) {
	t.Helper()
	localtest.Eventually(t, question+" is "+want, patience, func() bool { return p.Ask(t, question, args...) == want })
}

// Ask wants one text of the database.
func (p *Pipeline) Ask(t *testing.T, question string, args ...any) string {
	t.Helper()
	var answer string
	if err := p.Pool.QueryRow(t.Context(), question, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

// Exec changes what is in the database.
func (p *Pipeline) Exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := p.Pool.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Sweep has order-recovery look for what stands still, as its PingSource does.
func (p *Pipeline) Sweep(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.gates["order-recovery"].URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": uuid.NewString(), "Ce-Source": "/test", "Ce-Type": "dev.knative.sources.ping", "Content-Type": "application/json",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("a sweep is answered by %s", response.Status)
	}
}

// Recover sweeps until an order stands somewhere.
func (p *Pipeline) Recover(t *testing.T, order Order, status string) {
	t.Helper()
	localtest.Eventually(t, "sweeps bring the order to "+status, patience, func() bool {
		p.Sweep(t)
		return p.Status(t, order) == status
	})
}

// WantAllTrue waits until every order is settled, and wants all invariants to hold
// then: what orders have left behind adds up.
func (p *Pipeline) WantAllTrue(t *testing.T) {
	t.Helper()
	all, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.After(patience), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for {
		p.Sweep(t) // which settles orders
		violations := p.violations(t, all)
		if len(violations) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("after %s not everything is true:\n%s", patience, strings.Join(violations, "\n"))
			return
		}
	}
}

func (p *Pipeline) violations(t *testing.T, all []invariants.Invariant) (violations []string) {
	t.Helper()
	for _, one := range all {
		found, err := invariants.Check(t.Context(), p.Pool, one)
		if err != nil {
			t.Fatal(err)
		}
		for _, violation := range found {
			violations = append(violations, one.Name+": "+violation)
		}
		if len(found) > 0 && !one.AtRest {
			t.Fatalf("%s: %s", one.Name, strings.Join(found, "; "))
		}
	}
	return violations
}
