package function_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/page"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// routes are all addresses with the role that each needs: what the code says is held
// to this, so that a new one is thought about.
func routes() map[string]signin.Role {
	return map[string]signin.Role{
		"/": signin.Nobody, "GET /static/": signin.Nobody, "GET /sign-in": signin.Nobody, "POST /sign-in": signin.Nobody,
		"GET /sign-in/provider": signin.Nobody, "GET /sign-in/callback": signin.Nobody,
		"POST /sign-out": signin.Viewer, "GET /{$}": signin.Viewer, "GET /orders": signin.Viewer, "GET /orders/{id}": signin.Viewer,
		"GET /stock": signin.Viewer, "GET /stock/{sku}": signin.Viewer, "GET /dead-letters": signin.Viewer, "GET /dead-letters/{id}": signin.Viewer,
		"GET /mail": signin.Viewer, "GET /checks": signin.Viewer, "GET /figures": signin.Viewer, "GET /plots/{name}": signin.Viewer,
		"POST /orders/{id}/cancel": signin.Operator, "POST /orders/{id}/take-back": signin.Operator, "POST /orders/{id}/redrive": signin.Operator,
		"POST /stock/{sku}/receive": signin.Operator, "POST /stock/{sku}/adjust": signin.Operator,
		"POST /dead-letters/redrive": signin.Operator, "POST /dead-letters/{id}/redrive": signin.Operator,
		"POST /dead-letters/{id}/edit": signin.Admin, "POST /dead-letters/{id}/discard": signin.Admin, "POST /dead-letters/discard": signin.Admin,
		"GET /trail": signin.Admin,
	}
}

// TestEveryRouteHasItsRole calls every address as everybody.
func TestEveryRouteHasItsRole(t *testing.T) {
	t.Parallel()
	if !maps.Equal(routes(), page.Routes()) {
		t.Fatalf("the addresses are %v, want %v", page.Routes(), routes())
	}
	o := open(t, nil)
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	for _, role := range signin.Roles() {
		p := o.as(role)
		token := p.token()
		for _, pattern := range slices.Sorted(maps.Keys(routes())) {
			method, path, found := strings.Cut(pattern, " ")
			if !found || pattern == "POST /sign-out" && role != signin.Nobody {
				continue
			}
			id := order.ID.String()
			if strings.Contains(path, "dead-letters") {
				id = "1"
			}
			path = strings.NewReplacer("{id}", id, "{sku}", "TEST-ONE", "{name}", "orders", "{$}", "").Replace(path)
			var got answer
			if method == http.MethodPost {
				got = p.send(path, "token", token)
			} else {
				got = p.get(path)
			}
			needs := routes()[pattern]
			in := got.status != http.StatusForbidden && got.status != http.StatusUnauthorized &&
				(got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), "/sign-in"))
			if want := role.May(needs); needs != signin.Nobody && in != want {
				t.Errorf("%s as %q answered %d: let in %t, want %t", pattern, role, got.status, in, want)
			}
		}
	}
	if n := o.number(`select count(*) from operator_acts`); n != 0 {
		t.Errorf("%d acts are on record: something was done without a confirmation", n)
	}
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	stagetest.Place(t, o.pool, events.StatusPlaced)
	ada, vera := o.as(signin.Admin), o.as(signin.Admin)
	fields := []string{"quantity", "5", "reference", "PO-1", "confirm", "yes"}
	ada.send("/stock/TEST-ONE/receive", fields...).want(t, http.StatusForbidden)
	ada.send("/stock/TEST-ONE/receive", append(fields, "token", vera.token())...).want(t, http.StatusForbidden)
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		form := url.Values{"quantity": {"5"}, "reference": {"PO-1"}, "confirm": {"yes"}, "token": {ada.token()}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/stock/TEST-ONE/receive", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set(name, value)
		ada.do(request).want(t, http.StatusForbidden)
	}
	if n := o.number(`select count(*) from operator_acts`); n != 0 {
		t.Errorf("%d acts are on record, want none", n)
	}
	ada.post("/stock/TEST-ONE/receive", fields...).want(t, http.StatusSeeOther)
	if n := o.number(`select count(*) from operator_act_outcomes where outcome = 'done'`); n != 1 {
		t.Errorf("%d acts were done, want 1", n)
	}
}

const script = `"><script>alert(1)</script><img src=x onerror=alert(1)>`

// TestNothingTypedBecomesAPage puts a script into everything that anybody can type.
func TestNothingTypedBecomesAPage(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	for _, sql := range []string{
		`update order_contacts set name = $1, email = $1, line1 = $1, line2 = $1, city = $1, postal_code = $1`,
		`update products set name = $1`,
		`insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, first_at, last_at)
			select id || '/order-placed', $1, $1, id::text, $1, $1, $1, convert_to($1, 'UTF8'), now(), now() from orders`,
		`insert into operator_acts (actor, subject, role, action, target, reason, origin) values ($1, $1, 'admin', $1, $1, $1, $1)`,
		`insert into audits (began_at, ended_at, moving, orders, violations) select now(), now(), false, 1, 1 where $1 <> ''`,
		`insert into audit_checks select max(id), $1, $1, 1, array[$1] from audits`,
		`insert into notifications (order_id, change, state, claimed_at, sent_at, message_id) select id, 'order-placed', 'sent', now(), now(), $1 from orders`,
	} {
		if _, err := o.pool.Exec(t.Context(), sql, script); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	ada := o.as(signin.Admin)
	ada.post("/stock/TEST-ONE/adjust", "quantity", "1", "reason", script, "confirm", "yes").want(t, http.StatusSeeOther)
	paths := []string{"/", "/stock", "/stock/TEST-ONE", "/dead-letters", "/dead-letters/1", "/mail", "/checks", "/trail", "/orders/" + order.ID.String(), "/figures?span=" + url.QueryEscape(script)}
	for _, name := range []string{"number", "email", "status", "reason", "sku", "since", "until", "before"} {
		paths = append(paths, "/orders?"+url.Values{name: {script}}.Encode())
	}
	for _, name := range []string{"function", "code", "error", "type", "state"} {
		paths = append(paths, "/dead-letters?"+url.Values{name: {script}}.Encode())
	}
	paths = append(paths, "/sign-in?next="+url.QueryEscape("/"+script), "/"+url.PathEscape(script))
	pages := map[string]string{}
	for _, path := range paths {
		got := ada.get(path)
		if got.status >= http.StatusInternalServerError {
			t.Errorf("%s answered %d", path, got.status)
		}
		pages[path] = got.body
	}
	pages["confirm"] = ada.post("/stock/TEST-ONE/adjust", "quantity", "1", "reason", script).want(t, http.StatusOK).body
	pages["sign in"] = o.visitor().send("/sign-in", "name", script, "password", "x", "next", script).body
	for name, body := range pages {
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s has what somebody typed as it is", name)
		}
	}
	if !strings.Contains(pages["/orders/"+order.ID.String()], "&lt;script&gt;") {
		t.Error("the order's page doesn't show what was typed: this test shows nothing")
	}
}

func TestPasswordIsNotTriedOut(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	limited := 0
	for i := range 30 {
		switch got := o.visitor().send("/sign-in", "name", "mallory", "password", fmt.Sprint("a-password-for-the-test-", i)); got.status {
		case http.StatusTooManyRequests:
			limited++
		case http.StatusUnauthorized:
		default:
			t.Fatalf("try %d answered %d", i, got.status)
		}
	}
	if limited < 10 {
		t.Errorf("%d of 30 wrong passwords were not looked at, want most", limited)
	}
	// Nor is the right one, while the wrong ones are too many.
	o.visitor().send("/sign-in", "name", "ada", "password", password).want(t, http.StatusTooManyRequests)
}

func TestSessionsAreNew(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	p := o.visitor()
	p.keep([]*http.Cookie{{Name: "backoffice", Value: "chosen-by-somebody-else", Path: "/"}})
	signedIn := p.send("/sign-in", "name", "ada", "password", password, "next", "/orders?status=shipped").want(t, http.StatusSeeOther)
	if next := signedIn.header.Get("Location"); next != "/orders?status=shipped" {
		t.Errorf("signed in, ada goes to %s", next)
	}
	cookie := signedIn.header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie is %s, want %s", cookie, part)
		}
	}
	if strings.Contains(cookie, "chosen-by-somebody-else") || strings.Contains(cookie, "ada") {
		t.Errorf("the cookie is %s", cookie)
	}
	p.get("/").want(t, http.StatusOK, "ada, admin")
	p.post("/sign-out").want(t, http.StatusSeeOther)
	p.get("/").want(t, http.StatusSeeOther)
}

func TestCookiesOverTLS(t *testing.T) {
	t.Parallel()
	o := open(t, map[string]string{"BACKOFFICE_URL": "https://office.test"})
	cookie := o.visitor().send("/sign-in", "name", "ada", "password", password).want(t, http.StatusSeeOther).header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-backoffice=") || !strings.Contains(cookie, "; Secure") || strings.Contains(cookie, "Domain=") {
		t.Errorf("the cookie is %s", cookie)
	}
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	for _, next := range []string{
		"https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "http:evil.example", "javascript:alert(1)", "///evil.example",
		"/%2f/evil.example", "/\t/evil.example", "evil.example", "//evil.example@office.test", "/sign-out", "", "/%5cevil.example", "/orders\r\nX: y",
	} {
		got := o.visitor().send("/sign-in", "name", "ada", "password", password, "next", next).want(t, http.StatusSeeOther)
		if to := got.header.Get("Location"); to != "/" {
			t.Errorf("%q leads to %q", next, to)
		}
	}
}

func TestPathsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	ada := o.as(signin.Admin)
	for _, path := range []string{
		"/static/..%2ftemplates%2flayout.html", "/static/%2e%2e/templates/layout.html", "/static/", "/static/..", "/static/office.css%00", "/plots/..%2forders", "/plots/%00",
		"/stock/..%2f..%2fetc%2fpasswd", "/stock/%00", "/orders/..%2f..%2fetc", "/dead-letters/-1", "/dead-letters/9223372036854775808", "/dead-letters/1%27", "/orders/%ff",
	} {
		if got := ada.get(path); got.status != http.StatusNotFound && got.status != http.StatusTemporaryRedirect && got.status != http.StatusMovedPermanently {
			t.Errorf("%s answered %d", path, got.status)
		}
	}
}

func TestFormsThatAreTooLong(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	o.visitor().send("/sign-in", "name", strings.Repeat("x", 1<<20), "password", "x").want(t, http.StatusRequestEntityTooLarge)
	ada := o.as(signin.Admin)
	ada.post("/dead-letters/discard", "reason", strings.Repeat("x", 1<<17)).want(t, http.StatusRequestEntityTooLarge)
	ada.post("/dead-letters/discard", "function", "f", "reason", strings.Repeat("x", 501), "confirm", "yes").want(t, http.StatusUnprocessableEntity)
}

// A form that doesn't come is given up, long before the server's own limit.
func TestFormsThatAreTooSlow(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	reader, writer := io.Pipe()
	defer writer.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/sign-in", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	go func() { _, _ = writer.Write([]byte("name=ada")) }()
	began := time.Now()
	response, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(request)
	if err == nil {
		response.Body.Close()
	}
	if took := time.Since(began); took > 20*time.Second || err == nil && response.StatusCode != http.StatusBadRequest {
		t.Errorf("after %s: %v, %v, want 400 after ten seconds", took, response, err)
	}
}

func TestNobodySignsInWhereNothingIsSet(t *testing.T) {
	t.Parallel()
	o := open(t, map[string]string{"BACKOFFICE_PASSWORD": "", "BACKOFFICE_SESSION_KEY": ""})
	o.visitor().get("/sign-in").want(t, http.StatusOK, "Nobody can sign in here")
	for _, tried := range []string{"", password, " "} {
		o.visitor().send("/sign-in", "name", "ada", "password", tried).want(t, http.StatusForbidden)
	}
	o.as(signin.Admin).get("/").want(t, http.StatusSeeOther) // a cookie of another key
	o.visitor().get("/sign-in/provider").want(t, http.StatusNotFound)
}

func TestViewersSeeNoPersonalData(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	order := stagetest.Place(t, o.pool, events.StatusPlaced)
	if _, err := o.pool.Exec(t.Context(), `update order_contacts set name = 'Żaneta', email = 'zaneta@customers.example'`); err != nil {
		t.Fatal(err)
	}
	path := "/orders/" + order.ID.String()
	if body := o.as(signin.Viewer).get(path).want(t, http.StatusOK).body; strings.Contains(body, "zaneta") || strings.Contains(body, "Żaneta") {
		t.Error("a viewer sees the customer")
	}
	o.as(signin.Operator).get(path).want(t, http.StatusOK, "Żaneta", "zaneta@customers.example")
	o.as(signin.Viewer).get("/orders?email=zaneta@customers.example").want(t, http.StatusUnprocessableEntity)
	o.as(signin.Operator).get("/orders?email=ZANETA@customers.example").want(t, http.StatusOK, order.ID.String())
}
