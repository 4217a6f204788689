package function

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// hostileRequests are a method, a target, the header's lines, and a body.
func hostileRequests(tb testing.TB, add func(method, target, header, body string)) {
	const asJSON, asForm = "Content-Type: application/json\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"
	for _, body := range []string{
		wanted, "", "null", "[]", "\xff", wanted[:200], wanted + "]", strings.Repeat("[", 20000), strings.Repeat(" ", 70<<10), `{"lines":[{"sku":"BREW-KETTLE","quantity":1e2}]}`,
		with(tb, "lines", []any{nil}), with(tb, "lines", []any{map[string]any{"sku": "BREW-KETTLE", "quantity": 100000}}), with(tb, "customer.name", "a\x00b"), with(tb, "customer.email", "a@b.c\r\nBcc: x@y.z"),
		with(tb, "expected_total", map[string]any{"amount": 9223372036854775807, "currency": "EUR"}), with(tb, "shipping_address.line2", "\u202e"), with(tb, "payment_method", nil),
		strings.Replace(wanted, "Ada", `\ud800`, 1), strings.Replace(wanted, `"lines"`, `"lines":[],"lines"`, 1), strings.Replace(wanted, "COFFEE", "coffee", 1), strings.Replace(wanted, ": 2}", ": -0}", 1),
	} {
		add(http.MethodPost, "/api/orders", asJSON, body)
		add(http.MethodPost, "/api/orders", asJSON+"Idempotency-Key: k\r\n", body)
	}
	for _, header := range []string{
		asJSON + "Idempotency-Key: \r\n", asJSON + "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", asJSON + "Idempotency-Key: \xff\xfe\r\n", asJSON + "Content-Encoding: gzip\r\n",
		"Content-Type: application/json; charset=latin1\r\n", "Content-Type: application/json; charset=\"\r\n", asJSON + "Sec-Fetch-Site: cross-site\r\n", asJSON + "X-Forwarded-For: " + strings.Repeat(",", 5000) + "\r\n",
		asJSON + "Traceparent: 00-zz-zz-zz\r\nTracestate: \xff\r\n", asJSON + "Expect: 100-continue\r\n", asForm,
	} {
		add(http.MethodPost, "/api/orders", header, wanted)
	}
	const id = "019a0000-0000-7000-8000-000000000000"
	for _, target := range []string{
		"/", "/api/products?x=%00", "/api/orders/" + id, "/api/orders/" + id + "?token=%ff", "/api/orders/" + id + "/events?token=x&after=-1", "/api/orders/" + id + "/cancel?token=" + strings.Repeat("A", 43),
		"/api/orders/%00", "/api/orders/..%2f..", "/api/orders/" + strings.ToUpper(id), "/api/orders/{" + id + "}", "/api/orders/urn:uuid:" + id, "/products/%27%3b--", "/products/%00", "/products/%ff", "/static/../../etc/passwd", "/static/%2e%2e/x", "/orders/" + id + "?token=;&token",
	} {
		add(http.MethodGet, target, "Last-Event-ID: 99999999999999999999\r\nCookie: basket=BREW-KETTLE:2147483648_\"x\":1; checkout=%\r\n", "")
		add(http.MethodPost, target, asForm+"Authorization: Bearer \xff\r\n", "token=x")
	}
	form := url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "line1": {"x"}, "city": {"Gent"}, "postal_code": {"9000"}, "country": {"BE"}, "payment_method": {"pm_card_visa"}, "form": {"f"}, "key": {"f"}}.Encode()
	for _, body := range []string{form, "", "%", "sku=BREW-KETTLE&quantity=99999999999999999999", "sku=BREW-KETTLE&quantity=1", "sku=%00&quantity=-1", "sku=a&sku=b;quantity=1", strings.Repeat("a=b&", 20000)} {
		for _, target := range []string{"/basket", "/basket/lines", "/checkout", "/orders/" + id + "/cancel"} {
			add(http.MethodPost, target, asForm+"Cookie: basket=BREW-KETTLE:1; checkout=f\r\n", body)
			add(http.MethodPost, target, "Content-Type: multipart/form-data; boundary=x\r\n", "--x\r\nContent-Disposition: form-data; name=\"sku\"\r\n\r\n"+body+"\r\n--x--")
		}
	}
}

// FuzzRequests sends a customer's or a stranger's requests. Nothing is our own fault;
// the API answers in JSON, and refuses by a problem of RFC 9457; an order is stored
// only where its customer hears so, whole, and at what its lines come to.
func FuzzRequests(f *testing.F) {
	s := open(f, nil, func(s *Storefront) { s.log = f.Output() })
	hostileRequests(f, func(method, target, header, body string) { f.Add(method, target, header, body) })
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\n" + header + "\r\n")))
		if err != nil {
			return // net/http refuses it itself
		}
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		s := *s
		s.t = t
		before := s.count("select count(*) from orders")
		answer := httptest.NewRecorder()
		s.function.Handle(answer, request.WithContext(t.Context()))
		stored := s.count("select count(*) from orders") - before
		if answer.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q %q %q is answered by %d", method, target, header, body, answer.Code)
		}
		if strings.HasPrefix(request.URL.Path, "/api/") {
			wantJSON(t, answer)
		}
		if stored != 0 && answer.Code != http.StatusAccepted && answer.Code != http.StatusSeeOther {
			t.Errorf("%s %q %q %q is answered by %d, and %d orders are stored", method, target, header, body, answer.Code, stored)
		}
		if stored != 0 {
			s.wantWhole()
		}
	})
}

func wantJSON(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	redirects := []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} // net/http's, to a clean path
	if slices.Contains(redirects, answer.Code) {
		return
	}
	if !json.Valid(answer.Body.Bytes()) {
		t.Errorf("%d is answered with %q, which is no JSON", answer.Code, answer.Body)
	}
	if answer.Code < http.StatusBadRequest {
		return
	}
	var refusal problem.Problem
	err := json.Unmarshal(answer.Body.Bytes(), &refusal)
	if err != nil || refusal.Status != answer.Code || refusal.Type == "" || refusal.Title == "" || answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d is answered with %s %s", answer.Code, answer.Header().Get("Content-Type"), answer.Body)
	}
	for _, one := range refusal.Errors {
		if !strings.HasPrefix(one.Pointer, "#") || one.Detail == "" {
			t.Errorf("%d says of %q that it %s", answer.Code, one.Pointer, one.Detail)
		}
	}
}

// wantWhole holds the last order to its parts.
func (s *shop) wantWhole() {
	s.t.Helper()
	if whole := s.count(`select count(*) from orders o
		join order_contacts c on c.order_id = o.id join order_events e on e.order_id = o.id and e.name = 'order-placed'
		where o.id = (select id from orders order by id desc limit 1)
		  and o.total_amount = (select sum(quantity * price_amount) from order_lines l where l.order_id = o.id) and o.total_amount > 0`); whole != 1 {
		s.t.Error("an order is stored in part, or at another total")
	}
}
