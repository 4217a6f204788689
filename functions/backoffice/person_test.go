package function_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
)

const (
	password   = "a-password-for-the-tests"
	sessionKey = "a-session-key-for-the-tests-of-the-back-office"
)

// person is somebody with a browser.
type person struct {
	t      *testing.T
	url    string
	client *http.Client
}

// answer is what a person gets.
type answer struct {
	status int
	header http.Header
	body   string
}

// visitor is somebody who isn't signed in, and follows no redirect.
func (o *office) visitor() *person {
	o.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return &person{t: o.t, url: o.url, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is somebody with a session of a role, as any replica with the key makes one.
func (o *office) as(role signin.Role) *person {
	o.t.Helper()
	p := o.visitor()
	if role == signin.Nobody {
		return p
	}
	cookies, err := signin.NewCookies(sessionKey, false, time.Now)
	if err != nil {
		o.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if _, err := cookies.Begin(w, "ada", "test:ada", role); err != nil {
		o.t.Fatal(err)
	}
	p.keep(w.Result().Cookies())
	return p
}

func (p *person) keep(cookies []*http.Cookie) {
	p.t.Helper()
	home, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.client.Jar.SetCookies(home, cookies)
}

func (p *person) do(request *http.Request) answer {
	p.t.Helper()
	response, err := p.client.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (p *person) get(path string) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(request)
}

// post sends a form with the session's token.
func (p *person) post(path string, fields ...string) answer {
	p.t.Helper()
	return p.send(path, append(fields, "token", p.token())...)
}

// send sends a form as it is; fields are names and values.
func (p *person) send(path string, fields ...string) answer {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(request)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is what the forms of the session have; none for who has none.
func (p *person) token() string {
	p.t.Helper()
	if found := tokenField.FindStringSubmatch(p.get("/").body); found != nil {
		return found[1]
	}
	return ""
}

// want fails the test where an answer isn't as it should be.
func (a answer) want(t *testing.T, status int, parts ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d, want %d: %s", a.status, status, a.body)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page doesn't say %q:\n%s", part, a.body)
		}
	}
	return a
}

func (o *office) number(sql string, args ...any) int {
	o.t.Helper()
	var n int
	if err := o.pool.QueryRow(o.t.Context(), sql, args...).Scan(&n); err != nil {
		o.t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
	return n
}
