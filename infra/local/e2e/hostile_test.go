package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const stored = `select (select count(*) from orders) + (select count(*) from order_contacts) + (select count(*) from order_lines)
	+ (select count(*) from order_events) + (select count(*) from idempotency_keys)`

// hostileInput sends what no customer's browser would. Each gets a clear answer,
// and nothing of it is stored.
func hostileInput(t *testing.T, s *system) {
	before := s.count(t, stored)
	t.Run("group", func(t *testing.T) {
		for name, test := range hostileBodies(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				headers := append([]string{"Content-Type", "application/json"}, test.headers...)
				assertProblem(t, call(t, http.MethodPost, s.shop("/api/orders"), strings.NewReader(test.body), headers...), test.want)
			})
		}
		t.Run("a slow client", func(t *testing.T) {
			t.Parallel()
			assertProblem(t, s.trickle(t), http.StatusRequestTimeout)
		})
		t.Run("orders of others", func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/api/orders/", "/api/orders/1", "/api/orders/%00", "/api/orders/" + strings.Repeat("9", 5000), "/api/orders/019a0000-0000-7000-8000-000000000000?token=x", "/api/nothing"} {
				assertProblem(t, call(t, http.MethodGet, s.shop(path), nil), http.StatusNotFound)
			}
			assertProblem(t, call(t, http.MethodDelete, s.shop("/api/orders"), nil), http.StatusMethodNotAllowed)
		})
	})
	if after := s.count(t, stored); after != before {
		t.Errorf("%d rows were stored for what was refused", after-before)
	}
	for _, name := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `{{.Name}}`, `'; drop table orders; --`} {
		s.showsAsText(t, name)
	}
}

// showsAsText orders under a name that is something else to a machine. It is a
// name to us, wherever it is shown.
func (s *system) showsAsText(t *testing.T, name string) {
	t.Helper()
	body := basket(visa, line{"TEA-LAMPOUT", 1})
	body["customer"] = map[string]any{"name": name, "email": customerEmail}
	made := s.place(t, body)
	s.await(t, made, "shipped", 10*time.Second)
	page := string(call(t, http.MethodGet, s.shop("/orders/"+made.ID+"?token="+url.QueryEscape(made.Token)), nil, "Accept", "text/html").body)
	for _, mail := range s.awaitMails(t, made, "order-placed", "order-shipped") {
		page += mail.HTML
	}
	for _, live := range []string{"<script>alert", "<img src=x"} {
		if strings.Contains(page, live) {
			t.Errorf("the name %q has become HTML", name)
		}
	}
}

type hostileBody struct {
	body    string
	headers []string
	want    int
}

func hostileBodies(t *testing.T) map[string]hostileBody {
	t.Helper()
	with := func(change func(order map[string]any)) string {
		order := maps.Clone(basket(visa, line{"TEA-SENCHA", 1}))
		change(order)
		text, err := json.Marshal(order)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	lines := func(lines any) string { return with(func(o map[string]any) { o["lines"] = lines }) }
	quantity := func(n any) string { return lines([]map[string]any{{"sku": "TEA-SENCHA", "quantity": n}}) }
	customer := func(name, email any) string {
		return with(func(o map[string]any) { o["customer"] = map[string]any{"name": name, "email": email} })
	}
	good := quantity(1)
	many := make([]line, 2000)
	for i := range many {
		many[i] = line{fmt.Sprintf("SKU-%d", i), 1}
	}
	bad, unprocessable := http.StatusBadRequest, http.StatusUnprocessableEntity
	return map[string]hostileBody{
		"nothing":            {"", nil, bad},
		"no JSON":            {"order me a tea", nil, bad},
		"cut off":            {good[:len(good)-5], nil, bad},
		"two documents":      {good + good, nil, bad},
		"a list":             {"[]", nil, bad},
		"not UTF-8":          {strings.Replace(good, "Kraków", "Krak\xf3w", 1), nil, bad},
		"deep":               {strings.Repeat("[", 20_000), nil, bad},
		"deep and closed":    {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), nil, bad},
		"deep in a field":    {lines(json.RawMessage(strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000))), nil, unprocessable},
		"10 MB":              {customer(strings.Repeat("a", 10<<20), customerEmail), nil, http.StatusRequestEntityTooLarge},
		"10 MB of spaces":    {strings.Repeat(" ", 10<<20), nil, http.StatusRequestEntityTooLarge},
		"a form":             {"sku=TEA-SENCHA", []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"no content type":    {good, []string{"Content-Type", ""}, http.StatusUnsupportedMediaType},
		"another site":       {good, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, http.StatusForbidden},
		"a huge key":         {good, []string{"Idempotency-Key", strings.Repeat("k", 10_000)}, bad},
		"empty order":        {"{}", nil, unprocessable},
		"no lines":           {lines([]any{}), nil, unprocessable},
		"2000 lines":         {lines(many), nil, unprocessable},
		"lines of nothing":   {lines([]any{nil}), nil, unprocessable},
		"quantity 0":         {quantity(0), nil, unprocessable},
		"quantity -1":        {quantity(-1), nil, unprocessable},
		"quantity 10^9":      {quantity(1_000_000_000), nil, unprocessable},
		"quantity 10^30":     {quantity(json.RawMessage("1" + strings.Repeat("0", 30))), nil, unprocessable},
		"quantity 1e5000":    {quantity(json.RawMessage("1e5000")), nil, unprocessable},
		"half a piece":       {quantity(0.5), nil, unprocessable},
		"quantity as text":   {quantity("1"), nil, unprocessable},
		"own price":          {lines([]map[string]any{{"sku": "TEA-SENCHA", "quantity": 1, "price": 1}}), nil, unprocessable},
		"unknown article":    {lines([]line{{"NO-SUCH-THING", 1}}), nil, unprocessable},
		"SQL as article":     {lines([]line{{"x'; drop table stock; --", 1}}), nil, unprocessable},
		"article twice":      {lines([]line{{"TEA-SENCHA", 1}, {"TEA-SENCHA", 1}}), nil, unprocessable},
		"control characters": {customer("Ada\r\nBcc: all@customers.example", customerEmail), nil, unprocessable},
		"a zero byte":        {customer("Ada\x00", customerEmail), nil, unprocessable},
		"turned round":       {customer("Ada\u202egnp.exe", customerEmail), nil, unprocessable},
		"lone surrogate":     {strings.Replace(good, "Kraków", `\ud800`, 1), nil, unprocessable},
		"no address":         {customer("Ada", "nobody"), nil, unprocessable},
		"two addresses":      {customer("Ada", "a@customers.example, b@customers.example"), nil, unprocessable},
		"header in address":  {customer("Ada", "a@customers.example\nBcc: b@customers.example"), nil, unprocessable},
		"name is a number":   {customer(7, customerEmail), nil, unprocessable},
		"a long name":        {customer(strings.Repeat("ä", 5000), customerEmail), nil, unprocessable},
		"no such country":    {strings.Replace(good, `"PL"`, `"XX"`, 1), nil, unprocessable},
		"no such payment":    {strings.Replace(good, visa, "cash", 1), nil, unprocessable},
		"somebody's card":    {strings.Replace(good, visa, "4242424242424242", 1), nil, unprocessable},
	}
}

// assertProblem wants an answer of RFC 9457 that says what is wrong, and nothing
// of how we work inside.
func assertProblem(t *testing.T, answer reply, want int) {
	t.Helper()
	var problem struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Errors []struct {
			Pointer string `json:"pointer"`
			Detail  string `json:"detail"`
		} `json:"errors"`
	}
	if answer.status != want {
		t.Fatalf("status %d with %.300s, want %d", answer.status, answer.body, want)
	}
	answer.decode(t, &problem)
	if got := answer.header.Get("Content-Type"); got != "application/problem+json" || problem.Title == "" || problem.Status != want {
		t.Errorf("%s that says %+v, want a problem with title and status", got, problem)
	}
	if want == http.StatusUnprocessableEntity && (len(problem.Errors) == 0 || problem.Errors[0].Pointer == "" || problem.Errors[0].Detail == "") {
		t.Errorf("the problem doesn't say which field: %.300s", answer.body)
	}
	if len(answer.body) > 20_000 || bytes.Contains(bytes.ToLower(answer.body), []byte("sqlstate")) {
		t.Errorf("the problem says too much: %.300s", answer.body)
	}
}

// trickle announces a body and doesn't send it.
func (s *system) trickle(t *testing.T) reply {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.env["SHOP_URL"], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("a slow client gets no answer: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, body}
}
