package functest_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/infra/local"
)

// order is the order that the examples are about.
const order = "0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70"

// expectation is what comes of calling a function with its first example.
type expectation struct {
	// next is the event that func invoke shows.
	next string
	// malformed is the status for a broken event; 400 if unset.
	malformed int
	// logs is what the function writes about the call.
	logs string
}

func expectations() map[string]expectation {
	return map[string]expectation{
		"payment-verification":  {next: "payment-verified", logs: `"outcome":"applied"`},
		"inventory-update":      {next: "inventory-updated", logs: `"outcome":"applied"`},
		"shipment-preparation":  {next: "order-shipped", logs: `"outcome":"applied"`},
		"order-cancellation":    {logs: `"outcome":"applied"`},
		"customer-notification": {logs: `"outcome":"applied"`},
		"order-analytics":       {logs: `"outcome":"applied"`},
		"order-recovery":        {logs: `"resent":1,`},
		// It keeps whatever comes: there is nowhere else left to send it.
		"dead-letter-intake": {logs: `"outcome":"kept"`, malformed: http.StatusNoContent},
	}
}

// TestFunction takes each function through all that people do with the func
// CLI. One after the other: each build uses all processors by itself.
func TestFunction(t *testing.T) {
	prefix, databaseURL := startRegistry(t), startDatabase(t)
	for _, function := range functions(t) {
		t.Run(function, func(t *testing.T) {
			build(t, function, prefix)
			checkImage(t, function, prefix, databaseURL)
			// Three programs and their packed layers are 100 MB and more.
			if err := os.RemoveAll(clone("functions", function, ".func", "build")); err != nil {
				t.Error(err)
			}
			runAndCall(t, function)
		})
	}
}

// runAndCall does what make func-run and make func-invoke do.
func runAndCall(t *testing.T, function string) {
	t.Helper()
	dir, port := openDir(t), freePort(t)
	cmd := exec.CommandContext(t.Context(), clone("bin", "orderflow"), "func-run", "--func="+cli(), "--port="+port, function)
	cmd.Dir, cmd.Env = clone(), append(bare(), "TMPDIR="+dir, "K_SINK=http://127.0.0.1:1/not/the/functions")
	p := start(t, cmd)
	url := "http://127.0.0.1:" + port
	p.await("the function is ready", func() bool { return get(t, url+"/health/readiness", "").status == http.StatusOK })

	switch function {
	case "storefront":
		callStorefront(t, url)
	case "backoffice":
		callBackoffice(t, url, p.said())
	case "provider-webhooks":
		callWebhooks(t, url)
	default:
		want, known := expectations()[function]
		if !known {
			t.Fatalf("nothing is said here of what %s is to answer", function)
		}
		callWithEvent(t, function, url, want)
		p.await("the function logs "+want.logs, func() bool { return strings.Contains(p.said(), want.logs) })
	}

	// func waits half a second between its looks at the function. It keeps what
	// it has built if it is interrupted before it has seen it ready.
	p.await("func has seen the function", func() bool { return strings.Contains(p.said(), "Function running on") })
	if err := p.interrupt(); err != nil {
		t.Errorf("func-run ends: %v", err)
	}
	checkNothingLeft(t, function, dir)
}

func callStorefront(t *testing.T, url string) {
	t.Helper()
	if shown := invoke(t, "storefront"); !strings.HasPrefix(shown, "<!doctype html>") {
		t.Errorf("func invoke shows no page, but %q", shown)
	}
	if got := get(t, url+"/api/products", ""); got.status != http.StatusOK || !strings.Contains(got.body, "COFFEE-FIRSTLIGHT") {
		t.Errorf("GET /api/products: %d %s", got.status, got.body)
	}
}

// callWebhooks isn't a provider: that is all it can be told.
func callWebhooks(t *testing.T, url string) {
	t.Helper()
	invoke(t, "provider-webhooks")
	if got := get(t, url+"/", ""); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("GET /: %d %s", got.status, got.body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/sendgrid", strings.NewReader("[]"))
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, request); got.status != http.StatusForbidden {
		t.Errorf("POST /sendgrid without a signature: %d %s", got.status, got.body)
	}
}

func callBackoffice(t *testing.T, url, said string) {
	t.Helper()
	token := regexp.MustCompile(`operators' password \S+, programs' token (\S+)`).FindStringSubmatch(said)
	if token == nil {
		t.Fatal("func-run doesn't tell the operators' password and the programs' token")
	}
	const summary = "/api/analytics/summary"
	if got := get(t, url+summary, ""); got.status != http.StatusUnauthorized {
		t.Errorf("GET %s without a token: %d %s", summary, got.status, got.body)
	}
	if got := get(t, url+summary, token[1]); got.status != http.StatusOK {
		t.Errorf("GET %s: %d %s", summary, got.status, got.body)
	}
}

// callWithEvent calls a function by func invoke, twice, and then as func invoke
// can't: to see the status, and with what isn't an event.
func callWithEvent(t *testing.T, function, url string, want expectation) {
	t.Helper()
	first, second := invoke(t, function), invoke(t, function)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("a duplicate is answered otherwise (-first +second):\n%s", diff)
	}
	if shown := "\n  id: " + order + "/" + want.next + "\n"; want.next != "" && !strings.Contains(first, shown) {
		t.Errorf("func invoke doesn't show %s, but:\n%s", want.next, first)
	}
	if want.next == "" && strings.Contains(first, "Context Attributes") {
		t.Errorf("func invoke shows an event, want none:\n%s", first)
	}

	invocation, err := local.NewInvocation(clone(), function, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := post(t, url, *invocation.Event, nil); got.status/100 != 2 {
		t.Errorf("the example is answered by %d %s", got.status, got.body)
	}
	if want.malformed == 0 {
		want.malformed = http.StatusBadRequest
	}
	if got := post(t, url, *invocation.Event, func(h http.Header) { h.Del("Ce-Id") }); got.status != want.malformed {
		t.Errorf("an event without an id is answered by %d %s, want %d", got.status, got.body, want.malformed)
	}
	noEvent := func(h http.Header) {
		for name := range h {
			if strings.HasPrefix(name, "Ce-") {
				h.Del(name)
			}
		}
	}
	if got := post(t, url, *invocation.Event, noEvent); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("what is no CloudEvent is answered by %d %s, want 415", got.status, got.body)
	}
}

// invoke does what make func-invoke does and returns what it shows.
func invoke(t *testing.T, function string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), clone("bin", "orderflow"), "func-invoke", "--func="+cli(), function)
	var problems bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = clone(), bare(), &problems
	shown, err := cmd.Output()
	if err != nil {
		t.Errorf("func-invoke: %v\n%s", err, problems.String())
	}
	return string(shown)
}

// checkNothingLeft looks for processes and files that outlive func-run.
func checkNothingLeft(t *testing.T, function, dir string) {
	t.Helper()
	for _, place := range []string{dir, clone("functions", function)} {
		if left := running(t, place); len(left) > 0 {
			t.Errorf("still running: %q", left)
		}
	}
	for _, place := range []string{dir, clone("functions", function, ".func", "runs")} {
		entries, err := os.ReadDir(place)
		if err != nil || len(entries) > 0 {
			t.Errorf("left in %s: %v, %v", place, entries, err)
		}
	}
}

type answer struct {
	status int
	body   string
}

// get asks for a page; where nobody listens the status is 0.
func get(t *testing.T, url, token string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, request)
}

// post delivers an event whose headers were changed.
func post(t *testing.T, url string, sent event.Event, change func(http.Header)) answer {
	t.Helper()
	request, err := cehttp.NewHTTPRequestFromEvent(t.Context(), url, sent)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request.Header)
	}
	return do(t, request)
}

func do(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("read answer: %v", err)
	}
	return answer{response.StatusCode, string(body)}
}
