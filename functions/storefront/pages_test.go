package function

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// visitor is a browser without JavaScript.
type visitor struct {
	*shop
}

func (s *shop) visitor() visitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	own := *s
	own.client = &http.Client{Transport: s.client.Transport, Jar: jar, CheckRedirect: s.client.CheckRedirect}
	return visitor{&own}
}

// submit sends a form and returns the answer without following it.
func (v visitor) submit(path string, form url.Values) answer {
	v.t.Helper()
	return v.post(path, "application/x-www-form-urlencoded", form.Encode(), "Sec-Fetch-Site", "same-origin")
}

// page opens a page.
func (v visitor) page(path string) string {
	v.t.Helper()
	got := v.get(path)
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		v.t.Fatalf("GET %s = %d %s", path, got.status, got.header.Get("Location"))
	}
	return string(got.body)
}

func (v visitor) putInBasket(sku, quantity string) {
	v.t.Helper()
	if got := v.submit("/basket", url.Values{"sku": {sku}, "quantity": {quantity}}); got.status != http.StatusSeeOther {
		v.t.Fatalf("add %s %s = %d, want 303", quantity, sku, got.status)
	}
}

// filled is the form of a checkout page, with nothing wrong in it.
func filled(t *testing.T, page string) url.Values {
	t.Helper()
	return url.Values{
		"key": {find(t, page, `name="key" value="([^"]+)"`)}, "shown": {find(t, page, `name="shown" value="([^"]+)"`)}, "name": {" Ada Okafor "}, "email": {"ada@example.com"}, "line1": {"Lange Violettestraat 12"},
		"line2": {""}, "postal_code": {"9000"}, "city": {"Gent"}, "country": {"BE"}, "payment_method": {"pm_card_visa"},
	}
}

// find returns the first group of a pattern in a page.
func find(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no %s in:\n%s", pattern, page)
	}
	return found[1]
}

func wantText(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in:\n%s", text, page)
		}
	}
}

func TestBuyWithoutJavaScript(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	wantText(t, v.page("/"), "Heron Kettle", "€79.00", "12 left")
	wantText(t, v.page("/products/BREW-KETTLE"), "Only 12 left", "Also on the shelf")
	v.putInBasket("BREW-KETTLE", "1")
	v.putInBasket("COFFEE-FIRSTLIGHT", "1")
	v.putInBasket("COFFEE-FIRSTLIGHT", "1")
	wantText(t, v.page("/basket?added=BREW-KETTLE"), "Heron Kettle is in your basket", "€19.60", "€98.60")
	form := filled(t, v.page("/checkout"))
	got := v.submit("/checkout", form)
	target := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(target, "/orders/") {
		t.Fatalf("POST /checkout = %d to %q", got.status, target)
	}
	wantText(t, v.page(target), "We have your order", "First Light", "€98.60", "Ada Okafor<br>", "9000 Gent", "Belgium", "Cancel this order", `http-equiv="refresh"`)
	if again := v.submit("/checkout", form); again.header.Get("Location") != target {
		t.Errorf("the form sent again leads to %d %s, want %s", again.status, again.header.Get("Location"), target)
	}
	if count := v.count("select count(*) from orders"); count != 1 {
		t.Errorf("%d orders, want 1", count)
	}
	wantText(t, v.page("/basket"), "Nothing in it yet")
}

func TestNervousFinger(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	targets := make([]string, 8)
	var all sync.WaitGroup
	for i := range targets {
		all.Go(func() { targets[i] = v.submit("/checkout", form).header.Get("Location") })
	}
	all.Wait()
	for _, target := range targets {
		if target != targets[0] || !strings.HasPrefix(target, "/orders/") {
			t.Errorf("led to %s and %s", target, targets[0])
		}
	}
	if count := v.count("select count(*) from orders"); count != 1 {
		t.Errorf("%d orders, want 1", count)
	}
}

// One basket is one order, through however many forms it goes.
func TestFormsOfOneBasket(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	v.putInBasket("TEA-SENCHA", "1")
	first := filled(t, v.page("/checkout"))
	if again := filled(t, v.page("/checkout")); again.Get("key") != first.Get("key") {
		t.Errorf("the second form has key %s, want %s", again.Get("key"), first.Get("key"))
	}
	v.submit("/checkout", first)
	v.putInBasket("TEA-SENCHA", "1")
	if next := filled(t, v.page("/checkout")); next.Get("key") == first.Get("key") {
		t.Error("the next basket's form has the key of the first")
	}
}

// Nobody buys what the page didn't show: neither at another price nor from a
// basket that was filled in another window.
func TestNothingIsBoughtUnseen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(v visitor){
		"price": func(v visitor) {
			if _, err := v.pool.Exec(v.t.Context(), `update products set price_amount = 99999 where sku = 'TEA-SENCHA'`); err != nil {
				v.t.Fatal(err)
			}
		},
		"basket":  func(v visitor) { v.putInBasket("TEA-LAMPOUT", "1") },
		"article": func(v visitor) { v.putInBasket("TEA-SENCHA", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := open(t, nil).visitor()
			v.putInBasket("TEA-SENCHA", "1")
			form := filled(t, v.page("/checkout"))
			change(v)
			got := v.submit("/checkout", form)
			if got.status != http.StatusConflict {
				t.Errorf("an old form = %d, want 409", got.status)
			}
			wantText(t, string(got.body), "Please look again", `value="Lange Violettestraat 12"`)
			v.wantNothingStored()
			if again := v.submit("/checkout", filled(t, string(got.body))); again.status != http.StatusSeeOther {
				t.Errorf("the form that says so = %d, want an order", again.status)
			}
		})
	}
}

func TestFormChangedAfterOrder(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	first := v.submit("/checkout", form).header.Get("Location")
	v.putInBasket("TEA-LAMPOUT", "1")
	got := v.submit("/checkout", form)
	page := string(got.body)
	if got.status != http.StatusConflict {
		t.Errorf("a changed form sent again = %d, want 409", got.status)
	}
	wantText(t, page, "sent this form before", strings.Split(first, "?")[0])
	second := v.submit("/checkout", filled(t, page))
	if second.status != http.StatusSeeOther || second.header.Get("Location") == first {
		t.Errorf("confirmed = %d to %s, want another order", second.status, second.header.Get("Location"))
	}
}

func TestCheckoutSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	if got := v.get("/checkout"); got.status != http.StatusSeeOther || got.header.Get("Location") != "/basket" {
		t.Errorf("checkout of an empty basket = %d to %s", got.status, got.header.Get("Location"))
	}
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	key := form.Get("key")
	form.Set("email", `"><script>alert(1)</script>`)
	form.Set("city", "")
	got := v.submit("/checkout", form)
	page := string(got.body)
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("POST /checkout = %d, want 422", got.status)
	}
	wantText(t, page, "E-mail is not an e-mail address.", "Town is required.", `aria-describedby="email-problem"`,
		`value="Lange Violettestraat 12"`, `<option value="BE" selected>`, key)
	if strings.Contains(page, "<script>alert") {
		t.Error("what the customer typed has become HTML")
	}
	for _, key := range []string{"", "x"} {
		form.Set("key", key)
		if got := v.submit("/checkout", form); got.status != http.StatusBadRequest {
			t.Errorf("key %q: %d, want 400", key, got.status)
		}
	}
	v.wantNothingStored()
}

func TestBasket(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	for name, form := range map[string]url.Values{
		"no article":      {"quantity": {"1"}},
		"unknown article": {"sku": {"BREW-SAMOVAR"}, "quantity": {"1"}},
		"none":            {"sku": {"TEA-SENCHA"}, "quantity": {"0"}},
		"not a number":    {"sku": {"TEA-SENCHA"}, "quantity": {"many"}},
	} {
		if got := v.submit("/basket", form); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, got.status)
		}
	}
	v.putInBasket("TEA-SENCHA", "2")
	v.putInBasket("TABLE-QUINCE", "5")
	wantText(t, v.page("/basket"), "Only 3 left", `value="5"`)
	v.submit("/basket/lines", url.Values{"quantity-TEA-SENCHA": {"4"}, "quantity-TABLE-QUINCE": {"x"}})
	wantText(t, v.page("/basket"), `value="4"`, `value="5"`)
	v.submit("/basket/lines", url.Values{"quantity-TEA-SENCHA": {"4"}, "remove": {"TABLE-QUINCE"}})
	if page := v.page("/basket"); strings.Contains(page, "Quince") {
		t.Error("the jam is still there")
	}
	v.submit("/basket/lines", url.Values{"quantity-TEA-SENCHA": {"0"}})
	wantText(t, v.page("/basket"), "Nothing in it yet")
}

// The basket isn't for scripts and other sites, and behind TLS not for the
// open network. On a laptop it has to do without TLS.
func TestBasketCookieIsTheShopsOwn(t *testing.T) {
	t.Parallel()
	for shop, secure := range map[string]bool{
		"https://shop.example.com": true, "HTTPS://shop.example.com": true, "http://localhost:8080": false,
	} {
		v := open(t, map[string]string{"SHOP_URL": shop})
		for form, value := range map[string]string{"sku=TEA-SENCHA&quantity=2": "TEA-SENCHA:2", "remove=TEA-SENCHA": ""} {
			path := "/basket"
			if value == "" {
				path = "/basket/lines"
			}
			header := v.post(path, "application/x-www-form-urlencoded", form).header
			set, err := http.ParseSetCookie(header.Get("Set-Cookie"))
			if err != nil {
				t.Fatalf("%s: POST %s sets %q: %v", shop, path, header.Get("Set-Cookie"), err)
			}
			if set.Value != value || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Secure != secure || set.Domain != "" {
				t.Errorf("%s: POST %s sets %s", shop, path, set)
			}
		}
	}
}

// Wherever the shop sends a browser, it is to a page of its own.
func TestRedirectsStayInTheShop(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v, order := s.visitor(), s.mustOrder(wanted)
	targets := map[string]string{}
	for _, away := range []string{
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example", "https:evil.example",
		"javascript:alert(1)", "/../\\evil.example", "//evil.example/..//evil.example", "/static/..//\\evil.example", "\t//evil.example",
		"/\r\nLocation: https://evil.example", order.ID.String() + "/../..//evil.example", "TEA-SENCHA&x=//evil.example",
	} {
		targets["basket "+away] = v.submit("/basket", url.Values{"sku": {away}, "quantity": {"1"}}).header.Get("Location")
		for _, path := range []string{away, "/" + away, "/products/" + away, "/orders/" + away, "/orders/" + away + "/cancel"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				// Past the client, which would mend the path.
				r := httptest.NewRequest(method, "/", strings.NewReader("token="+order.Token))
				r.URL.Path = path
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				recorder := httptest.NewRecorder()
				s.function.Handle(recorder, r)
				targets[method+" "+path] = recorder.Header().Get("Location")
			}
		}
	}
	targets["basket"] = v.submit("/basket", url.Values{"sku": {"TEA-SENCHA"}, "quantity": {"1"}}).header.Get("Location")
	targets["lines"] = v.submit("/basket/lines", url.Values{"remove": {"//evil.example"}}).header.Get("Location")
	cancel := url.Values{"token": {order.Token}}
	targets["cancel"] = v.submit("/orders/"+order.ID.String()+"/cancel", cancel).header.Get("Location")
	for _, name := range []string{"basket", "lines", "cancel"} {
		if targets[name] == "" {
			t.Errorf("%s leads nowhere", name)
		}
	}
	for name, target := range targets {
		if target != "" && leadsAway(target) {
			t.Errorf("%q leads to %q", name, target)
		}
	}
}

// leadsAway reads a Location the way browsers do: a backslash is a slash, and
// line breaks and tabs are nothing.
func leadsAway(location string) bool {
	read, err := url.Parse(strings.NewReplacer(`\`, "/", "\t", "", "\r", "", "\n", "").Replace(location))
	return err != nil || read.Scheme != "" || read.Host != "" || !strings.HasPrefix(read.Path, "/") || strings.HasPrefix(read.Path, "//")
}

func TestSpoiltBasketCookie(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for _, spoilt := range []string{"x", "TEA-SENCHA:", "TEA-SENCHA:99999999999999999999", strings.Repeat("TEA-SENCHA:1_", 200), ":_:_"} {
		r := s.request(http.MethodGet, "/basket", nil)
		r.Header.Set("Cookie", "basket="+spoilt)
		if got := s.do(r); got.status != http.StatusOK {
			t.Errorf("basket of the cookie %.40q = %d, want 200", spoilt, got.status)
		}
	}
}

func TestOrderPage(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v := s.visitor()
	order := s.mustOrder(with(t, "customer.name", `<b onmouseover="x">Ada</b>`))
	page := v.page(order.Links.Page)
	wantText(t, page, order.Number, "Order placed", "Checking your card", "&lt;b onmouseover", `name="robots" content="noindex`)
	s.happen(order, "payment-verified", false)
	wantText(t, v.page(order.Links.Page), "Payment approved", "Setting things aside")
	s.happen(order, "inventory-updated", false)
	s.happen(order, "order-shipped", false)
	if _, err := s.pool.Exec(t.Context(), `insert into shipments values ($1, 'Parcel', 'OF123456785DE', 'k', 'h', now())`, order.ID); err != nil {
		t.Fatal(err)
	}
	page = v.page(order.Links.Page)
	wantText(t, page, "on its way", "OF123456785DE")
	if strings.Contains(page, "Cancel this order") || strings.Contains(page, "http-equiv") {
		t.Error("a shipped order can be cancelled, or is still followed")
	}
	got := v.submit("/orders/"+order.ID.String()+"/cancel", url.Values{"token": {order.Token}})
	if got.status != http.StatusConflict || !strings.Contains(string(got.body), "shipped in the meantime") {
		t.Errorf("cancel = %d, want 409 with the order's page", got.status)
	}
	if _, err := s.pool.Exec(t.Context(), `delete from order_contacts`); err != nil {
		t.Fatal(err)
	}
	wantText(t, v.page(order.Links.Page), "erased the address")
}

func TestCancelOnThePage(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v, order := s.visitor(), s.mustOrder(wanted)
	cancel := "/orders/" + order.ID.String() + "/cancel"
	if got := v.submit(cancel, url.Values{"token": {"guess"}}); got.status != http.StatusNotFound {
		t.Errorf("cancel with a guess = %d, want 404", got.status)
	}
	if got := v.submit(cancel, url.Values{"token": {order.Token}}); got.header.Get("Location") != order.Links.Page {
		t.Errorf("cancel = %d to %s, want the order's page", got.status, got.header.Get("Location"))
	}
	wantText(t, v.page(order.Links.Page), "This order is cancelled", "As you wished", "Nothing was charged")
}

func TestPagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	order := s.mustOrder(wanted)
	for path, text := range map[string]string{
		"/nothing":                                           "Nothing on this shelf",
		"/products/TEA-NOTHING":                              "Nothing on this shelf",
		"/orders/" + order.ID.String():                       "find this order",
		"/orders/" + order.ID.String() + "?token=x":          "find this order",
		"/orders/01890a5d-ac96-774b-bcce-b302099a8057?token": "find this order",
	} {
		got := s.get(path)
		if got.status != http.StatusNotFound || !strings.Contains(string(got.body), text) {
			t.Errorf("GET %s = %d %s, want 404 and %q", path, got.status, got.body, text)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	header := s.get("/").header
	policy := header.Get("Content-Security-Policy")
	wantText(t, policy, "default-src 'none'", "script-src 'self'", "frame-ancestors 'none'")
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy is unsafe: %s", policy)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// The policy would break a page that breaks it.
	for _, path := range []string{"/", "/products/TEA-SENCHA", "/basket", "/nothing"} {
		if found := regexp.MustCompile(`<style|style="|<script>|\son[a-z]+="|javascript:|https?://`).FindString(string(s.get(path).body)); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

// maxFirstPage is what a first visit may load in all, uncompressed.
const maxFirstPage = 100_000

func TestFirstPageIsLight(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	home := s.get("/")
	size, seen := len(home.body), map[string]bool{}
	for _, found := range regexp.MustCompile(`(?:src|href|srcset)="(/static/[^"]+)"`).FindAllStringSubmatch(string(home.body), -1) {
		if seen[found[1]] {
			continue
		}
		seen[found[1]] = true
		file := s.get(found[1])
		if file.status != http.StatusOK || !strings.Contains(file.header.Get("Cache-Control"), "immutable") {
			t.Errorf("GET %s = %d, Cache-Control %q", found[1], file.status, file.header.Get("Cache-Control"))
		}
		size += len(file.body)
	}
	if len(seen) < 16 || size > maxFirstPage {
		t.Errorf("the first page is %d bytes in %d files, want at most %d in all of them", size, len(seen)+1, maxFirstPage)
	}
	t.Logf("first page: %d bytes in %d requests", size, len(seen)+1)
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	first := s.get("/static/products/brew-kettle.svg")
	if first.header.Get("Content-Type") != "image/svg+xml" || strings.Contains(first.header.Get("Cache-Control"), "immutable") {
		t.Errorf("kettle: %v", first.header)
	}
	r := s.request(http.MethodGet, "/static/products/brew-kettle.svg", nil)
	r.Header.Set("If-None-Match", first.header.Get("ETag"))
	if got := s.do(r); got.status != http.StatusNotModified {
		t.Errorf("kettle again = %d, want 304", got.status)
	}
	for _, path := range []string{"/static/", "/static/nothing.js", "/static/../function.go", "/static/%2e%2e/render.go"} {
		if got := s.get(path); got.status == http.StatusOK {
			t.Errorf("GET %s = 200", path)
		}
	}
	for _, sku := range s.skus() {
		if got := s.get("/static/products/" + strings.ToLower(sku) + ".svg"); got.status != http.StatusOK {
			t.Errorf("no picture of %s: %d", sku, got.status)
		}
	}
}

func (s *shop) skus() []string {
	var skus []string
	for _, p := range decode[[]struct{ SKU string }](s.t, s.get("/api/products").body) {
		skus = append(skus, p.SKU)
	}
	return skus
}

func TestPagesAreLimitedToo(t *testing.T) {
	t.Parallel()
	v := open(t, map[string]string{"RATE_LIMIT": "1"}).visitor()
	v.putInBasket("TEA-SENCHA", "1")
	first := v.submit("/checkout", filled(t, v.page("/checkout")))
	v.putInBasket("TEA-SENCHA", "1")
	second := v.submit("/checkout", filled(t, v.page("/checkout")))
	if first.status != http.StatusSeeOther || second.status != http.StatusTooManyRequests {
		t.Errorf("two orders = %d and %d, want 303 and 429", first.status, second.status)
	}
	wantText(t, string(second.body), "One at a time")
	if got := v.submit("/basket", url.Values{"sku": {strings.Repeat("x", 100_000)}}); got.status != http.StatusBadRequest {
		t.Errorf("a form of 100 KB = %d, want 400", got.status)
	}
}

func TestSoldOut(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	if _, err := s.pool.Exec(t.Context(), `update stock set reserved = on_hand where sku = 'TABLE-QUINCE'`); err != nil {
		t.Fatal(err)
	}
	v := s.visitor()
	wantText(t, v.page("/products/TABLE-QUINCE"), "Sold out for now")
	wantText(t, v.page("/"), "Sold out")
	v.putInBasket("TABLE-QUINCE", "1")
	wantText(t, v.page("/basket"), "Just sold out")
	if _, err := s.pool.Exec(t.Context(), `update products set active = false where sku = 'TABLE-QUINCE'`); err != nil {
		t.Fatal(err)
	}
	wantText(t, v.page("/basket"), "Nothing in it yet")
	if got := fmt.Sprint(v.get("/products/TABLE-QUINCE").status); got != "404" {
		t.Errorf("page of what isn't sold any more = %s, want 404", got)
	}
}
