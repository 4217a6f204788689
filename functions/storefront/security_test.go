package function

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostile is text that does something wherever it isn't escaped.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

func wantHarmless(t *testing.T, where, page string) {
	t.Helper()
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") {
		t.Errorf("%s lets markup through: %s", where, page)
	}
}

// XSS: what customers type, in every field there is, is text on every page that
// shows it, and in both languages.
func TestSecurityXSSInEveryField(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v := s.visitor()
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	for _, name := range []string{"name", "email", "line1", "line2", "postal_code", "city", "country", "payment_method", "shown"} {
		changed := maps.Clone(form)
		changed.Set(name, hostile)
		wantHarmless(t, "the checkout with "+name, string(v.submit("/checkout", changed).body))
	}
	for _, field := range []string{"number", "email"} {
		got := v.submit("/find-order", url.Values{field: {hostile}})
		wantHarmless(t, "find-order with "+field, string(got.body))
		wantText(t, string(got.body), "&lt;script&gt;")
	}
	for _, path := range []string{
		"/products?q=" + url.QueryEscape(hostile), "/products?category=" + url.QueryEscape(hostile), "/basket?added=" + url.QueryEscape(hostile),
		"/products/" + url.PathEscape(hostile), "/orders/" + url.PathEscape(hostile), "/find-order?sent&x=" + url.QueryEscape(hostile),
	} {
		wantHarmless(t, path, string(v.get(path).body))
	}
	order := s.mustOrder(with(t, "customer.name", hostile))
	for _, path := range []string{order.Links.Page, strings.Replace(order.Links.Page, "?", "/receipt?", 1)} {
		page := v.page(path)
		wantHarmless(t, path, page)
		wantText(t, page, "&lt;script&gt;alert(1)")
	}
}

// IDOR and brute force of tokens: without an order's own token nothing of it is to
// be seen or done, by any way there is; a wrong one is answered like a wrong id.
func TestSecurityOrdersOfOthers(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	mine, other := s.mustOrder(wanted), s.mustOrder(wanted)
	last := other.Token[:len(other.Token)-1]
	for _, token := range []string{"", "x", mine.Token, last, last + "A", strings.ToUpper(other.Token), other.Token + "=", mine.ID.String()} {
		if token == other.Token {
			continue
		}
		for _, path := range []string{"/orders/%", "/orders/%/receipt", "/api/orders/%", "/api/orders/%/events"} {
			at := func(id string) answer {
				return s.get(strings.Replace(path, "%", id, 1) + "?token=" + url.QueryEscape(token))
			}
			there, nowhere := at(other.ID.String()), at("01890a5d-ac96-774b-bcce-b302099a8057")
			if there.status != http.StatusNotFound || nowhere.status != there.status {
				t.Errorf("%s with %q = %d, and of no order %d, want 404", path, token, there.status, nowhere.status)
			}
			plain := func(a answer, id string) string { return strings.ReplaceAll(string(a.body), id, "ID") }
			if diff := cmp.Diff(plain(there, other.ID.String()), plain(nowhere, "01890a5d-ac96-774b-bcce-b302099a8057")); diff != "" {
				t.Errorf("%s tells which orders there are:\n%s", path, diff)
			}
		}
		form := url.Values{"token": {token}}.Encode()
		for _, path := range []string{"/orders/", "/api/orders/"} {
			got := s.post(path+other.ID.String()+"/cancel?token="+url.QueryEscape(token), "application/x-www-form-urlencoded", form)
			if got.status != http.StatusNotFound {
				t.Errorf("cancel by %s with %q = %d, want 404", path, token, got.status)
			}
		}
	}
	if count := s.count("select count(*) from orders where status = 'cancelled'"); count != 0 {
		t.Errorf("%d orders cancelled by others", count)
	}
}

// Enumeration: to ask for a link tells nobody which orders and customers there are.
// The answer is the same, and the database is asked the same.
func TestSecurityNoEnumerationByFindOrder(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v, order := s.visitor(), s.mustOrder(wanted)
	ask := func(number, email string) answer {
		return v.submit("/find-order", url.Values{"number": {number}, "email": {email}})
	}
	known, guessed, stranger := ask(order.Number, "ada@example.com"), ask("OF-00000-00000", "ada@example.com"), ask(order.Number, "eve@example.com")
	for _, got := range []answer{known, guessed, stranger} {
		got.header.Del("Date")
		if got.status != http.StatusSeeOther || string(got.body) != string(known.body) || !cmp.Equal(got.header, known.header) {
			t.Errorf("answers differ: %d %v %s", got.status, got.header, got.body)
		}
	}
	wantText(t, v.page("/find-order?sent"), "If there is such an order")
	if count := s.count("select count(*) from order_link_requests"); count != 3 {
		t.Errorf("%d requests are noted, want all 3", count)
	}
	// As people write it, it is the same order, and so the same request.
	ask(strings.ToLower(strings.ReplaceAll(order.Number, "-", " ")), "ADA@example.com")
	if count := s.count("select count(*) from order_link_requests"); count != 3 {
		t.Errorf("%d requests after one was repeated, want 3", count)
	}
	if count := s.count("select count(*) from order_link_requests where encode(email_sha256, 'escape') like '%ada%'"); count != 0 {
		t.Error("the address is kept as it is")
	}
}

// Rate limit: a client can't ask for links without end, whatever RATE_LIMIT says.
func TestSecurityFindOrderIsLimited(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	for i := range linksPerMinute + 1 {
		got := v.submit("/find-order", url.Values{"number": {"OF-0000" + strconv.Itoa(i) + "-00000"}, "email": {"ada@example.com"}})
		if limited := got.status == http.StatusTooManyRequests; limited != (i == linksPerMinute) {
			t.Errorf("request %d = %d", i+1, got.status)
		}
	}
}

// Header injection: no line break of a customer's gets into a mail or an answer.
func TestSecurityHeaderInjection(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v := s.visitor()
	for _, address := range []string{"ada@example.com\r\nBcc: eve@example.com", "ada@example.com,eve@example.com", "Ada <ada@example.com>", "ada@example.com\x00"} {
		if got := v.submit("/find-order", url.Values{"number": {"OF-7K2QD-M41RX"}, "email": {address}}); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q as an address = %d, want 422", address, got.status)
		}
		body, err := json.Marshal(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.order(strings.Replace(wanted, `"ada@example.com"`, string(body), 1)); got.status != http.StatusUnprocessableEntity {
			t.Errorf("an order of %q = %d, want 422", address, got.status)
		}
	}
	for _, back := range []string{"/\r\nSet-Cookie: a=b", "/basket\r\n\r\n<html>"} {
		got := v.submit("/language", url.Values{"language": {"de"}, "back": {back}})
		if got.header.Get("Location") != "/" || strings.Contains(strings.Join(got.header.Values("Set-Cookie"), ""), "a=b") {
			t.Errorf("back to %q: %v", back, got.header)
		}
	}
}

// Open redirect: a link to the shop never leads out of it.
func TestSecurityOpenRedirect(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	for back, want := range map[string]string{
		"/products?q=a": "/products?q=a", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/",
		`\\evil.example`: "/", "/\t/evil.example": "/", "javascript:alert(1)": "/", "basket": "/", "///evil.example": "/",
		"/%5cevil.example": "/%5cevil.example",
	} {
		if got := v.submit("/language", url.Values{"language": {"de"}, "back": {back}}); got.header.Get("Location") != want {
			t.Errorf("back to %q leads to %q, want %q", back, got.header.Get("Location"), want)
		}
	}
}

// CSRF: another site's page can't act in a customer's name.
func TestSecurityForeignForms(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	for _, path := range []string{"/basket", "/basket/lines", "/checkout", "/find-order", "/language", "/orders/x/cancel"} {
		if got := v.post(path, "application/x-www-form-urlencoded", "a=b", "Sec-Fetch-Site", "cross-site"); got.status != http.StatusForbidden {
			t.Errorf("POST %s from elsewhere = %d, want 403", path, got.status)
		}
	}
}

// Oversize and slow: no form is read without end.
func TestSecurityOversizedAndSlowForms(t *testing.T) {
	t.Parallel()
	s := open(t, nil, func(f *Storefront) { f.bodyTimeout = 50 * time.Millisecond })
	v := s.visitor()
	for _, path := range []string{"/basket", "/basket/lines", "/checkout", "/find-order", "/language"} {
		if got := v.submit(path, url.Values{"name": {strings.Repeat("x", 100_000)}}); got.status != http.StatusBadRequest {
			t.Errorf("100 KB to %s = %d, want 400", path, got.status)
		}
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(connection, "POST "+path+" HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na=b")
		if err != nil {
			t.Fatal(err)
		}
		if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if status, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(status), "HTTP/1.1 400") {
			t.Errorf("a form to %s that never ends: %.50q, %v, want 400 and an end", path, status, err)
		}
		connection.Close() //nolint:errcheck,gosec // read to the end
	}
}

// Headers: every answer has them, whatever it is.
func TestSecurityHeadersEverywhere(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for _, path := range []string{"/", "/products", "/find-order", "/basket", "/nothing", "/api/products", "/api/nothing", "/static/shop.css", "/orders/x"} {
		header := s.get(path).header
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy"} {
			if header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

// Cookies: no script reads them, no other site sends them, and by https only.
func TestSecurityCookies(t *testing.T) {
	t.Parallel()
	v := open(t, map[string]string{"SHOP_URL": "https://shop.example.com"}).visitor()
	answers := []answer{
		v.submit("/language", url.Values{"language": {"de"}}),
		v.submit("/basket", url.Values{"sku": {"TEA-SENCHA"}, "quantity": {"1"}}),
	}
	for _, got := range answers {
		cookie := got.header.Get("Set-Cookie")
		for _, want := range []string{"HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains(cookie, want) {
				t.Errorf("cookie %q is not %s", cookie, want)
			}
		}
	}
}
