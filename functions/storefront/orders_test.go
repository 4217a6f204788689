package function

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

func TestProducts(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	if _, err := s.pool.Exec(t.Context(), `
		update products set active = false where sku = 'TEA-SENCHA';
		update stock set reserved = 5 where sku = 'BREW-KETTLE'`); err != nil {
		t.Fatal(err)
	}
	type product struct {
		SKU       string
		Price     events.Money
		Available int
	}
	products := decode[[]product](t, s.get("/api/products").body)
	if len(products) != 11 || products[0].SKU != "COFFEE-FIRSTLIGHT" {
		t.Errorf("GET /api/products = %d articles from %s, want 11 from COFFEE-FIRSTLIGHT", len(products), products[0].SKU)
	}
	want := product{"BREW-KETTLE", events.Money{Amount: 7900, Currency: "EUR"}, 7}
	if diff := cmp.Diff(want, products[6]); diff != "" {
		t.Errorf("the kettle (-want +got):\n%s", diff)
	}
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	answer := s.order(wanted, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	got := decode[placed](t, answer.body)
	if answer.status != http.StatusAccepted || answer.header.Get("Location") != "/api/orders/"+got.ID.String() {
		t.Errorf("POST /api/orders = %d, Location %q", answer.status, answer.header.Get("Location"))
	}
	if want := (events.Money{Amount: 2*980 + 7900, Currency: "EUR"}); got.Status != "placed" || got.Total != want {
		t.Errorf("placed %s for %s, want placed for %s", got.Status, got.Total, want)
	}
	if count := s.count(`
		select count(*) from orders o join order_contacts c on c.order_id = o.id
		where o.id = $1 and o.number = $2 and o.status = 'placed' and o.payment_method = 'pm_card_visa'
			and c.email = 'ada@example.com' and o.placed_at = o.updated_at`, got.ID, got.Number); count != 1 {
		t.Error("the order isn't stored as it was placed")
	}
	if count := s.count(`select count(*) from order_lines where order_id = $1 and name in ('First Light', 'Heron Kettle')`, got.ID); count != 2 {
		t.Errorf("%d lines stored, want 2 with the catalogue's names", count)
	}
	s.wantEvent(got)
	await(t, "the event to be marked as published", func() bool {
		return s.count("select count(*) from order_events where order_id = $1 and published_at is not null", got.ID) == 1
	})
}

// wantEvent checks that the order-placed of an order has reached the sink.
func (s *shop) wantEvent(order placed) {
	s.t.Helper()
	sent := s.sink.Sent()
	if len(sent) != 1 || sent[0].Sink != "order-placed" {
		s.t.Fatalf("%d events at the sink, want order-placed alone", len(sent))
	}
	event := sent[0].Event
	if event.ID() != order.ID.String()+"/order-placed" || event.Source() != "/orderflow/storefront" || event.Subject() != order.ID.String() {
		s.t.Errorf("event %s of %s about %s", event.ID(), event.Source(), event.Subject())
	}
	trace, _ := event.Extensions()["traceparent"].(string)
	if !strings.HasPrefix(trace, "00-0af7651916cd43dd8448eb211c80319c-") {
		s.t.Errorf("event has traceparent %q, want the request's trace", trace)
	}
	for _, personal := range []string{"Ada", "ada@", "Violette", "9000", "pm_card"} {
		if strings.Contains(string(event.Data()), personal) {
			s.t.Errorf("event tells %q: %s", personal, event.Data())
		}
	}
	if _, err := events.Decode(event.Type(), event.Data()); err != nil {
		s.t.Errorf("event: %v", err)
	}
}

func TestExpectedTotal(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	body := func(amount int, currency string) string {
		return strings.TrimSuffix(strings.TrimSpace(wanted), "}") + fmt.Sprintf(`, "expected_total": {"amount": %d, "currency": "%s"}}`, amount, currency)
	}
	for _, wrong := range []string{body(2*980+7900-1, "EUR"), body(2*980+7900, "USD")} {
		got := s.order(wrong)
		if refusal := decode[problem.Problem](t, got.body); got.status != http.StatusConflict || !strings.HasSuffix(refusal.Type, "/price-changed") {
			t.Errorf("another total = %d %s, want 409 price-changed", got.status, got.body)
		}
	}
	s.wantNothingStored()
	if got := s.order(body(2*980+7900, "EUR")); got.status != http.StatusAccepted {
		t.Errorf("the right total = %d %s, want 202", got.status, got.body)
	}
	for _, broken := range []string{`"1"`, `{"amount": -1, "currency": "EUR"}`, `{"amount": 1.5, "currency": "EUR"}`, `{"amount": 1, "currency": 5}`, `{}`} {
		if got := s.order(strings.TrimSuffix(strings.TrimSpace(wanted), "}") + `, "expected_total": ` + broken + `}`); got.status != http.StatusUnprocessableEntity {
			t.Errorf("expected_total %s = %d %s, want 422", broken, got.status, got.body)
		}
	}
}

func TestPlaceOrderWithoutKafka(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	s.sink.SetDown(true)
	got := s.mustOrder(wanted)
	if count := s.count("select count(*) from order_events where order_id = $1 and published_at is null", got.ID); count != 1 {
		t.Errorf("%d events wait to be sent, want 1", count)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 101)
	line := func(sku string, quantity any) []any { return []any{map[string]any{"sku": sku, "quantity": quantity}} }
	tests := map[string]struct {
		path  string
		value any
		at    string
	}{
		"no name":              {"customer.name", nil, "#/customer/name"},
		"blank name":           {"customer.name", " \t ", "#/customer/name"},
		"long name":            {"customer.name", long, "#/customer/name"},
		"name with NUL":        {"customer.name", "Ada\x00", "#/customer/name"},
		"name with line break": {"customer.name", "Ada\r\nBcc: x@example.com", "#/customer/name"},
		"name reversed":        {"customer.name", "\u202eadA", "#/customer/name"},
		"name is a number":     {"customer.name", 7, "#/customer/name"},
		"no customer":          {"customer", nil, "#/customer/name"},
		"customer is a list":   {"customer", []any{}, "#/customer"},
		"no e-mail":            {"customer.email", "", "#/customer/email"},
		"e-mail without at":    {"customer.email", "ada.example.com", "#/customer/email"},
		"e-mail with a name":   {"customer.email", "Ada <ada@example.com>", "#/customer/email"},
		"two e-mails":          {"customer.email", "a@example.com,b@example.com", "#/customer/email"},
		"e-mail to localhost":  {"customer.email", "ada@localhost", "#/customer/email"},
		"long e-mail":          {"customer.email", strings.Repeat("a", 250) + "@example.com", "#/customer/email"},
		"no street":            {"shipping_address.line1", nil, "#/shipping_address/line1"},
		"long line2":           {"shipping_address.line2", long, "#/shipping_address/line2"},
		"long postal code":     {"shipping_address.postal_code", strings.Repeat("9", 17), "#/shipping_address/postal_code"},
		"no such country":      {"shipping_address.country", "XX", "#/shipping_address/country"},
		"small country":        {"shipping_address.country", "be", "#/shipping_address/country"},
		"country by name":      {"shipping_address.country", "Belgium", "#/shipping_address/country"},
		"no lines":             {"lines", nil, "#/lines"},
		"empty lines":          {"lines", []any{}, "#/lines"},
		"lines is an object":   {"lines", map[string]any{}, "#/lines"},
		"line is a string":     {"lines", []any{"BREW-KETTLE"}, "#/lines/0"},
		"51 lines":             {"lines", make([]any, 51), "#/lines"},
		"quantity 0":           {"lines", line("BREW-KETTLE", 0), "#/lines/0/quantity"},
		"quantity -1":          {"lines", line("BREW-KETTLE", -1), "#/lines/0/quantity"},
		"quantity 10^9":        {"lines", line("BREW-KETTLE", 1_000_000_000), "#/lines/0/quantity"},
		"quantity 10^30":       {"lines", line("BREW-KETTLE", 1e30), "#/lines/0/quantity"},
		"quantity 1.5":         {"lines", line("BREW-KETTLE", 1.5), "#/lines/0/quantity"},
		"quantity as text":     {"lines", line("BREW-KETTLE", "1"), "#/lines/0/quantity"},
		"quantity 100001":      {"lines", line("BREW-KETTLE", 100_001), "#/lines/0/quantity"},
		"no such article":      {"lines", line("BREW-SAMOVAR", 1), "#/lines/0/sku"},
		"inactive article":     {"lines", line("TEA-SENCHA", 1), "#/lines/0/sku"},
		"malformed article":    {"lines", line("'; drop table orders; --", 1), "#/lines/0/sku"},
		"article twice":        {"lines", append(line("BREW-KETTLE", 1), line("BREW-KETTLE", 1)...), "#/lines/1/sku"},
		"no payment method":    {"payment_method", nil, "#/payment_method"},
		"payment method's id":  {"payment_method", "4242424242424242", "#/payment_method"},
		"long payment method":  {"payment_method", "pm_" + strings.Repeat("a", 65), "#/payment_method"},
		"own price":            {"total", 1, "#/total"},
		"deep JSON":            {"x", nested(5000), "#/x"},
		"name with a slash":    {"a/b~", 1, "#/a~1b~0"},
		"misspelt field":       {"shipping_address.zip", "9000", "#/shipping_address/zip"},
		"id by the client":     {"customer.id", 1, "#/customer/id"},
	}
	s := open(t, nil)
	if _, err := s.pool.Exec(t.Context(), `update products set active = false where sku = 'TEA-SENCHA'`); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		got := s.order(with(t, test.path, test.value), "Idempotency-Key", "refused")
		if got.status != http.StatusUnprocessableEntity || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want 422", name, got.status, got.body)
			continue
		}
		refusal := decode[problem.Problem](t, got.body)
		if len(refusal.Errors) == 0 || refusal.Errors[0].Pointer != test.at {
			t.Errorf("%s: errors %v, want one at %s first", name, refusal.Errors, test.at)
		}
	}
	s.wantNothingStored()
}

func nested(depth int) any {
	var value any = 1
	for range depth {
		value = []any{value}
	}
	return value
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	body := `{"customer": {"name": 7, "email": "x"}, "shipping_address": [], "lines": [{"sku": "A", "quantity": "2"}], "extra": 1}`
	var at []string
	for _, one := range decode[problem.Problem](t, s.order(body).body).Errors {
		at = append(at, one.Pointer)
	}
	want := []string{
		"#/extra", "#/shipping_address", "#/customer/name", "#/lines/0/quantity",
		"#/customer/email", "#/lines/0/sku", "#/payment_method",
	}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestUnreadableRequests(t *testing.T) {
	t.Parallel()
	const asJSON = "application/json"
	tests := map[string]struct {
		contentType, body string
		want              int
	}{
		"no body":            {asJSON, "", http.StatusBadRequest},
		"not JSON":           {asJSON, "sku=BREW-KETTLE", http.StatusBadRequest},
		"half JSON":          {asJSON, wanted[:100], http.StatusBadRequest},
		"two values":         {asJSON, wanted + wanted, http.StatusBadRequest},
		"a list":             {asJSON, "[" + wanted + "]", http.StatusBadRequest},
		"null":               {asJSON, "null", http.StatusBadRequest},
		"too deep":           {asJSON, strings.Repeat("[", 20_000), http.StatusBadRequest},
		"too deep an object": {asJSON, strings.Repeat(`{"a":`, 12_000), http.StatusBadRequest},
		"not UTF-8":          {asJSON, strings.Replace(wanted, "Ada", "\xff\xfe", 1), http.StatusBadRequest},
		"65 KiB":             {asJSON, strings.Repeat(" ", 65<<10) + wanted, http.StatusRequestEntityTooLarge},
		"10 MB":              {asJSON, `{"x": "` + strings.Repeat("x", 10<<20) + `"}`, http.StatusRequestEntityTooLarge},
		"a form":             {"application/x-www-form-urlencoded", "sku=BREW-KETTLE", http.StatusUnsupportedMediaType},
		"XML":                {"application/xml", "<order/>", http.StatusUnsupportedMediaType},
		"no content type":    {"", wanted, http.StatusUnsupportedMediaType},
		"text":               {"text/plain", wanted, http.StatusUnsupportedMediaType},
	}
	s := open(t, nil)
	for name, test := range tests {
		if got := s.post("/api/orders", test.contentType, test.body); got.status != test.want {
			t.Errorf("%s: %d %.200s, want %d", name, got.status, got.body, test.want)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		if got := s.order(wanted, "Idempotency-Key", key); got.status != http.StatusBadRequest {
			t.Errorf("key of %d characters: %d, want 400", len(key), got.status)
		}
	}
	s.wantNothingStored()
	if got := s.post("/api/orders", "application/json; charset=utf-8", wanted); got.status != http.StatusAccepted {
		t.Errorf("JSON with a charset: %d, want 202", got.status)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for _, path := range []string{"/api/orders", "/checkout", "/basket"} {
		if got := s.post(path, "application/json", wanted, "Sec-Fetch-Site", "cross-site"); got.status != http.StatusForbidden {
			t.Errorf("POST %s from another site = %d, want 403", path, got.status)
		}
	}
	s.wantNothingStored()
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"RATE_LIMIT": "3", "TRUSTED_PROXIES": "1"})
	for i := range 5 {
		got := s.order(wanted, "X-Forwarded-For", "198.51.100.7")
		want := http.StatusAccepted
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if got.status != want || (got.header.Get("Retry-After") != "") != (i >= 3) {
			t.Errorf("order %d: %d, Retry-After %q, want %d", i+1, got.status, got.header.Get("Retry-After"), want)
		}
	}
	if got := s.order(wanted, "X-Forwarded-For", "198.51.100.7, 203.0.113.9"); got.status != http.StatusAccepted {
		t.Errorf("order of another client: %d, want 202", got.status)
	}
	if count := s.count("select count(*) from orders"); count != 4 {
		t.Errorf("%d orders, want 4", count)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	first := s.order(wanted, "Idempotency-Key", "k1")
	again := s.order(strings.Join(strings.Fields(wanted), " "), "Idempotency-Key", "k1")
	if string(first.body) != string(again.body) || again.status != http.StatusAccepted || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("second answer %d %s, want 202 %s", again.status, again.body, first.body)
	}
	other := s.order(with(t, "customer.name", "Eve"), "Idempotency-Key", "k1")
	if other.status != http.StatusConflict {
		t.Errorf("another order with the same key: %d %s, want 409", other.status, other.body)
	}
	s.mustOrder(wanted, "Idempotency-Key", "k2")
	s.mustOrder(wanted)
	if count := s.count("select count(*) from orders"); count != 3 {
		t.Errorf("%d orders, want 3", count)
	}
	if count := s.count("select count(*) from idempotency_keys where encode(key_hash, 'escape') like '%k1%'"); count != 0 {
		t.Error("the key itself is stored")
	}
}

func TestConcurrentIdempotency(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	bodies := make([]string, 20)
	var all sync.WaitGroup
	for i := range bodies {
		all.Go(func() {
			got := s.order(wanted, "Idempotency-Key", "same")
			bodies[i] = fmt.Sprint(got.status, string(got.body))
		})
	}
	all.Wait()
	for _, body := range bodies {
		if body != bodies[0] || !strings.HasPrefix(body, "202") {
			t.Errorf("answers differ: %s and %s", body, bodies[0])
		}
	}
	for _, table := range []string{"orders", "order_events", "order_contacts", "idempotency_keys"} {
		if count := s.count("select count(*) from " + table); count != 1 {
			t.Errorf("%d rows in %s, want 1", count, table)
		}
	}
	if ids := s.sink.IDs(); len(ids) != 1 {
		t.Errorf("events %v, want one", ids)
	}
}

func TestConcurrentConflictingKeys(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	statuses := make([]int, 10)
	var all sync.WaitGroup
	for i := range statuses {
		body := with(t, "customer.name", fmt.Sprintf("Ada %d", i))
		all.Go(func() { statuses[i] = s.order(body, "Idempotency-Key", "same").status })
	}
	all.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusAccepted: 1, http.StatusConflict: 9}, counts); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if count := s.count("select count(*) from orders"); count != 1 {
		t.Errorf("%d orders, want 1", count)
	}
}

func TestShowOrder(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	s.pay(order, "authorised", false)
	s.happen(order, "payment-verified", true)
	bearer := s.request(http.MethodGet, "/api/orders/"+order.ID.String(), nil)
	bearer.Header.Set("Authorization", "Bearer "+order.Token)
	for _, got := range []answer{s.get(order.Links.Self), s.do(bearer)} {
		view := decode[shownOrder](t, got.body)
		if got.status != http.StatusOK || view.Status != "payment_verified" || len(view.Timeline) != 2 || !view.Cancellable || view.Payment.State != "authorised" {
			t.Errorf("GET order = %d %s", got.status, got.body)
		}
		if strings.Contains(string(got.body), "Ada") || strings.Contains(string(got.body), "Violette") {
			t.Errorf("the order tells personal data: %s", got.body)
		}
	}
}

func TestStrangersSeeNothing(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order, other := s.mustOrder(wanted), s.mustOrder(wanted)
	id := order.ID.String()
	for name, path := range map[string]string{
		"no token":              "/api/orders/" + id,
		"another order's token": "/api/orders/" + id + "?token=" + other.Token,
		"half a token":          "/api/orders/" + id + "?token=" + order.Token[:20],
		"no order":              "/api/orders/01890a5d-ac96-774b-bcce-b302099a8057?token=" + order.Token,
		"no id":                 "/api/orders/1?token=" + order.Token,
		"id in capitals":        "/api/orders/" + strings.ToUpper(id) + "?token=" + order.Token,
		"events without token":  "/api/orders/" + id + "/events",
	} {
		if got := s.get(path); got.status != http.StatusNotFound || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want 404", name, got.status, got.body)
		}
	}
	if got := s.get("/api/nothing"); got.status != http.StatusNotFound || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("GET /api/nothing = %d %s, want 404", got.status, got.body)
	}
}
