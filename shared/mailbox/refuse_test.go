package mailbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// change edits a good mail.
func change(t *testing.T, edit func(m map[string]any)) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(mail("ada@example.com", "o1")), &m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	edited, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(edited)
}

func set(name, value string) func(map[string]any) {
	return func(m map[string]any) { m[name] = json.RawMessage(value) }
}

func people(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"email":"p%d@example.com"}`, i))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestWhatSendGridRefuses(t *testing.T) {
	t.Parallel()
	to := func(value string) func(map[string]any) { return set("personalizations", `[{"to":`+value+`}]`) }
	tests := map[string]struct {
		edit  func(map[string]any)
		field string
	}{
		"no personalizations":   {set("personalizations", `[]`), "personalizations"},
		"1001 personalizations": {set("personalizations", `[`+strings.Repeat(`{"to":[{"email":"a@example.com"}]},`, 1000)+`{"to":[{"email":"a@example.com"}]}]`), "personalizations"},
		"1001 recipients":       {to(people(1001)), "personalizations"},
		"no recipient":          {to(`[]`), "personalizations.0.to"},
		"no address":            {to(`[{"name":"Ada"}]`), "personalizations.0.to.0.email"},
		"bad address":           {to(`[{"email":"ada"}]`), "personalizations.0.to.0.email"},
		"address with a name":   {to(`[{"email":"Ada <ada@example.com>"}]`), "personalizations.0.to.0.email"},
		"two addresses":         {to(`[{"email":"a@example.com, b@example.com"}]`), "personalizations.0.to.0.email"},
		"header in address":     {to(`[{"email":"a@example.com\r\nBcc: b@example.com"}]`), "personalizations.0.to.0.email"},
		"endless address":       {to(`[{"email":"` + strings.Repeat("a", 400) + `@example.com"}]`), "personalizations.0.to.0.email"},
		"same twice":            {to(`[{"email":"a@example.com"},{"email":"A@example.com"}]`), "personalizations.0.to"},
		"bad own from":          {set("personalizations", `[{"to":[{"email":"a@example.com"}],"from":{"email":"x"}}]`), "personalizations.0.from.email"},
		"no from":               {func(m map[string]any) { delete(m, "from") }, "from.email"},
		"empty from":            {set("from", `{"name":"Shop"}`), "from.email"},
		"bad from":              {set("from", `{"email":"shop"}`), "from.email"},
		"no subject":            {func(m map[string]any) { delete(m, "subject") }, "subject"},
		"no content":            {set("content", `[]`), "content"},
		"empty content":         {set("content", `[{"type":"text/plain","value":""}]`), "content.0.value"},
		"text after HTML":       {set("content", `[{"type":"text/html","value":"x"},{"type":"text/plain","value":"x"}]`), "content.1.type"},
		"HTML after others":     {set("content", `[{"type":"text/calendar","value":"x"},{"type":"text/html","value":"x"}]`), "content.1.type"},
		"type twice":            {set("content", `[{"type":"text/html","value":"x"},{"type":"text/html","value":"x"}]`), "content.1.type"},
		"bad type":              {set("content", `[{"type":"text/plain; charset=utf-8","value":"x"}]`), "content.0.type"},
		"two reply-to": {func(m map[string]any) {
			set("reply_to", `{"email":"a@example.com"}`)(m)
			set("reply_to_list", people(1))(m)
		}, "reply_to"},
		"bad reply-to":       {set("reply_to", `{"email":"x"}`), "reply_to.email"},
		"1001 reply-to":      {set("reply_to_list", people(1001)), "reply_to_list"},
		"attachment":         {set("attachments", `[{"content":"?","filename":"x"}]`), "attachments.0.content"},
		"attachment's name":  {set("attachments", `[{"content":"aGk="}]`), "attachments.0.filename"},
		"disposition":        {set("attachments", `[{"content":"aGk=","filename":"x","disposition":"x"}]`), "attachments.0.disposition"},
		"reserved header":    {set("headers", `{"Subject":"x"}`), "headers"},
		"header with a line": {set("headers", `{"X-A":"x\r\nBcc: b@example.com"}`), "headers"},
		"11 categories":      {set("categories", `["1","2","3","4","5","6","7","8","9","10","11"]`), "categories"},
		"category twice":     {set("categories", `["1","1"]`), "categories"},
		"long category":      {set("categories", `["`+strings.Repeat("x", 256)+`"]`), "categories"},
		"large arguments":    {set("custom_args", `{"a":"`+strings.Repeat("x", 10_000)+`"}`), "custom_args"},
		"next week":          {set("send_at", `1763985600000`), "send_at"},
		"wrong type":         {set("subject", `7`), "subject"},
		"wrong type, deep":   {to(`"ada@example.com"`), "personalizations.to"},
		"argument no string": {set("custom_args", `{"a":1}`), "custom_args"},
		"empty own subject":  {set("personalizations", `[{"to":[{"email":"a@example.com"}],"subject":""}]`), "personalizations.0.subject"},
		"reply-to twice":     {set("reply_to_list", `[{"email":"a@example.com"},{"email":"a@example.com"}]`), "reply_to_list"},
		"attachment's type":  {set("attachments", `[{"content":"aGk=","filename":"x","type":""}]`), "attachments.0.type"},
		"pool":               {set("ip_pool_name", `"x"`), "ip_pool_name"},
		"no group":           {set("asm", `{}`), "asm.group_id"},
		"26 groups":          {set("asm", `{"group_id":1,"groups_to_display":[`+strings.Repeat("1,", 25)+`1]}`), "asm.groups_to_display"},
	}
	b := start(t, t.TempDir())
	for name, test := range tests {
		resp, answer := b.send(change(t, test.edit))
		var body struct {
			Errors []struct{ Message, Field string }
		}
		if err := json.Unmarshal([]byte(answer), &body); err != nil {
			t.Fatalf("%s: %v in %s", name, err, answer)
		}
		if resp.StatusCode != http.StatusBadRequest || len(body.Errors) == 0 || body.Errors[0].Field != test.field || body.Errors[0].Message == "" {
			t.Errorf("%s = %d %.300s, want 400 about %s", name, resp.StatusCode, answer, test.field)
		}
		if strings.Contains(answer, "@example.com") {
			t.Errorf("%s: the error repeats an address: %s", name, answer)
		}
	}
	if ids := b.list("").ids(); ids != "" {
		t.Errorf("refused mail was kept: %s", ids)
	}
}

func TestWhatSendGridAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit   func(map[string]any)
		status int
	}{
		"as it is":       {func(map[string]any) {}, 202},
		"HTML only":      {set("content", `[{"type":"text/html","value":"x"}]`), 202},
		"HTML, calendar": {set("content", `[{"type":"text/html","value":"x"},{"type":"text/calendar","value":"x"}]`), 202},
		"template":       {func(m map[string]any) { delete(m, "content"); delete(m, "subject"); set("template_id", `"d-1"`)(m) }, 202},
		"own subject": {func(m map[string]any) {
			delete(m, "subject")
			set("personalizations", `[{"to":[{"email":"a@example.com"}],"subject":"x"}]`)(m)
		}, 202},
		"unknown field":   {set("asm", `{"group_id":1}`), 202},
		"control chars":   {set("subject", `"a\u0000b\u2028<script>"`), 202},
		"sandbox mode":    {set("mail_settings", `{"sandbox_mode":{"enable":true}}`), 200},
		"1000 recipients": {set("personalizations", `[{"to":`+people(1000)+`}]`), 202},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, t.TempDir())
			resp, answer := b.send(change(t, test.edit))
			if resp.StatusCode != test.status {
				t.Errorf("send = %d %s, want %d", resp.StatusCode, answer, test.status)
			}
			if kept := len(b.list("").Messages); (kept == 1) != (test.status == 202) {
				t.Errorf("messages kept = %d", kept)
			}
		})
	}
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	b := start(t, t.TempDir())
	auth, jsonType := "Authorization: Bearer "+key, "Content-Type: application/json"
	tests := map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"no key":     {mail("a@example.com", ""), []string{jsonType}, 401},
		"wrong key":  {mail("a@example.com", ""), []string{jsonType, "Authorization: Bearer x"}, 401},
		"bare key":   {mail("a@example.com", ""), []string{jsonType, "Authorization: " + key}, 401},
		"form":       {"a=b", []string{auth, "Content-Type: application/x-www-form-urlencoded"}, 415},
		"no type":    {mail("a@example.com", ""), []string{auth}, 415},
		"too large":  {strings.Repeat(" ", 30<<20) + "{}", []string{auth, jsonType}, 413},
		"empty":      {"", []string{auth, jsonType}, 400},
		"null":       {"null", []string{auth, jsonType}, 400},
		"array":      {"[]", []string{auth, jsonType}, 400},
		"two values": {"{}{}", []string{auth, jsonType}, 400},
		"deep":       {strings.Repeat(`{"a":`, 100_000), []string{auth, jsonType}, 400},
		"deep known": {`{"content":` + strings.Repeat("[", 100_000), []string{auth, jsonType}, 400},
		"nulls":      {`{"personalizations":[null],"from":null,"content":[null],"attachments":[null]}`, []string{auth, jsonType}, 400},
	}
	for name, test := range tests {
		resp, answer := b.call("POST", "/v3/mail/send", test.body, test.headers...)
		if resp.StatusCode != test.status || !strings.HasPrefix(answer, `{"errors":[{"message":"`) {
			t.Errorf("%s = %d %.300s, want %d", name, resp.StatusCode, answer, test.status)
		}
	}
	if resp, _ := b.call("GET", "/v3/mail/send", ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET = %d, want 405", resp.StatusCode)
	}
}

func FuzzSend(f *testing.F) {
	f.Add(mail("ada@example.com", "o1"))
	f.Add(`{"personalizations":[{"to":[{"email":"\u0000@"}]}]}`)
	f.Add(`{"attachments":[{"content":"="}],"send_at":-9223372036854775808}`)
	b := start(f, f.TempDir())
	f.Fuzz(func(t *testing.T, body string) {
		b := *b
		b.t = t
		switch resp, answer := b.send(body); resp.StatusCode {
		case 200, 202, 400:
		default:
			t.Errorf("send %q = %d %s", body, resp.StatusCode, answer)
		}
	})
}
