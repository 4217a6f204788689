package mailbox_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	for i := range 60 {
		b.send(mail(fmt.Sprintf("p%d@example.com", i%2), fmt.Sprintf("o%d", i)))
	}
	tests := map[string]struct {
		path   string
		status int
		want   []string
		not    string
	}{
		"newest":   {"/", 200, []string{`/messages/60"`, `/messages/11"`, `href="/?before=11"`, "12:00:00"}, `/messages/10"`},
		"older":    {"/?before=11", 200, []string{`/messages/10"`, `/messages/1"`}, "Older mail"},
		"one":      {"/messages/60", 200, []string{"<h2>Order placed</h2>", `src="/messages/60/html"`, `aria-current="true"`, "Thank you", "/?order=o59"}, "Choose"},
		"filtered": {"/?to=p1%40example.com", 200, []string{`/messages/60?to=p1%40example.com"`, "Show all"}, `/messages/59`},
		"missing":  {"/messages/99", 404, []string{"no such message"}, "Choose"},
		"odd":      {"/messages/x?before=y&to=%3Cscript%3E", 404, []string{"&lt;script&gt;"}, "<script>"},
		"style":    {"/style.css", 200, []string{":root"}, "<"},
		"html":     {"/messages/60/html", 200, []string{`<base target="_blank"><p>Thank you</p>`}, "<h2>"},
		"no html":  {"/messages/99/html", 404, []string{"errors"}, "<"},
		"nowhere":  {"/nowhere", 404, nil, "<"},
	}
	for name, test := range tests {
		resp, page := b.call("GET", test.path, "")
		if resp.StatusCode != test.status || strings.Contains(page, test.not) {
			t.Errorf("%s: GET %s = %d, want %d without %q:\n%.2000s", name, test.path, resp.StatusCode, test.status, test.not, page)
		}
		for _, want := range test.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: GET %s has no %s", name, test.path, want)
			}
		}
	}
}

func TestHostileMailIsShownHarmlessly(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	const script = `</iframe><script>alert(1)</script>`
	resp, answer := b.send(change(t, func(m map[string]any) {
		m["subject"] = script
		m["from"] = map[string]string{"email": "shop@example.com", "name": script}
		m["custom_args"] = map[string]string{script: "javascript:alert(1)"}
		m["content"] = []map[string]string{{"type": "text/plain", "value": script}, {"type": "text/html", "value": "<head></head>" + script}}
	}))
	if resp.StatusCode != 202 {
		t.Fatalf("send = %d %s", resp.StatusCode, answer)
	}
	resp, page := b.call("GET", "/messages/1", "")
	if strings.Contains(page, "<script") || strings.Contains(page, `href="javascript`) {
		t.Errorf("page runs the mail's script:\n%s", page)
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script") {
		t.Errorf("page's policy = %q", policy)
	}
	resp, page = b.call("GET", "/messages/1/html", "")
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "allow-scripts") {
		t.Errorf("mail's policy = %q", policy)
	}
	if !strings.HasPrefix(page, `<head><base target="_blank"></head>`) {
		t.Errorf("mail = %s", page)
	}
}

func TestEmptyButton(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	b.send(mail("ada@example.com", "o1"))
	if resp, _ := b.call("POST", "/clear", "", "Origin: http://elsewhere.example"); resp.StatusCode != 403 {
		t.Errorf("clear by a page from elsewhere = %d, want 403", resp.StatusCode)
	}
	if resp, page := b.call("POST", "/clear", "", "Origin: "+b.url); resp.StatusCode != 200 || !strings.Contains(page, "No mail here yet") {
		t.Errorf("clear = %d %s", resp.StatusCode, page)
	}
}
