package function_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	function "github.com/orderflow-project/orderflow/functions/backoffice"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

const token = "a-token-for-the-tests"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// office is the function, running, with a database of its own.
type office struct {
	t    *testing.T
	pool *pgxpool.Pool
	url  string
	// router finds what the OpenAPI document says about a request.
	router routers.Router
}

func open(t *testing.T, settings map[string]string) *office {
	t.Helper()
	pool := postgrestest.New(t)
	environment := map[string]string{
		"DATABASE_URL": pool.Config().ConnString(), "BACKOFFICE_TOKEN": token, "BACKOFFICE_PASSWORD": password,
		"BACKOFFICE_SESSION_KEY": sessionKey, "BACKOFFICE_URL": "http://office.test",
	}
	maps.Copy(environment, settings)
	o := &office{t: t, pool: pool, url: stagetest.Run(t, function.New(), environment)}
	_, _, body := o.call(http.MethodGet, "/api/openapi.json", "")
	o.router = readDocument(t, body)
	return o
}

func readDocument(t *testing.T, text []byte) routers.Router {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("read the OpenAPI document: %v", err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	router, err := legacy.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// call makes a request and, once the document is known, checks the answer by it.
func (o *office) call(method, path, authorization string) (int, http.Header, []byte) {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end below
	body, err := io.ReadAll(response.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if o.router != nil && strings.HasPrefix(path, "/api/") {
		o.check(request, response, body)
	}
	return response.StatusCode, response.Header, body
}

func (o *office) check(request *http.Request, response *http.Response, body []byte) {
	o.t.Helper()
	described := request.Clone(request.Context())
	described.URL = &url.URL{Path: request.URL.Path, RawQuery: request.URL.RawQuery}
	route, parameters, err := o.router.FindRoute(described)
	if err != nil {
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
			o.t.Errorf("%s %s isn't in the document: %v", request.Method, request.URL.Path, err)
		}
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: described, PathParams: parameters, Route: route},
		Status:                 response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(request.Context(), input); err != nil {
		o.t.Errorf("%s %s answered %d, which isn't what the document says: %v", request.Method, request.URL.RequestURI(), response.StatusCode, err)
	}
}

func (o *office) summary(query string) analytics.Summary {
	o.t.Helper()
	status, _, body := o.call(http.MethodGet, "/api/analytics/summary?"+query, "Bearer "+token)
	if status != http.StatusOK {
		o.t.Fatalf("summary?%s answered %d %s", query, status, body)
	}
	var summary analytics.Summary
	if err := json.Unmarshal(body, &summary); err != nil {
		o.t.Fatal(err)
	}
	return summary
}

func (o *office) count(minute time.Time, metric, dimension string, shard int, value int64) {
	o.t.Helper()
	_, err := o.pool.Exec(o.t.Context(), `insert into analytics_minutes (minute, metric, dimension, shard, value) values ($1, $2, $3, $4, $5)
		on conflict (minute, metric, dimension, shard) do update set value = analytics_minutes.value + excluded.value`,
		minute, metric, dimension, shard, value)
	if err != nil {
		o.t.Fatal(err)
	}
}

func TestWhoGetsIn(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	for authorization, want := range map[string]int{
		"Bearer " + token:         http.StatusOK,
		"bearer " + token:         http.StatusOK,
		"Bearer  " + token + " ":  http.StatusOK,
		"":                        http.StatusUnauthorized,
		"Bearer":                  http.StatusUnauthorized,
		"Bearer ":                 http.StatusUnauthorized,
		"Bearer " + token + "x":   http.StatusUnauthorized,
		"Bearer " + token[:20]:    http.StatusUnauthorized,
		"Basic " + token:          http.StatusUnauthorized,
		token:                     http.StatusUnauthorized,
		"Bearer A-TOKEN-FOR-THE-": http.StatusUnauthorized,
	} {
		status, header, body := o.call(http.MethodGet, "/api/analytics/summary", authorization)
		if status != want {
			t.Errorf("Authorization %q answered %d %s, want %d", authorization, status, body, want)
		}
		if asks := header.Get("WWW-Authenticate") != ""; asks != (want == http.StatusUnauthorized) {
			t.Errorf("Authorization %q: WWW-Authenticate = %q", authorization, header.Get("WWW-Authenticate"))
		}
	}
	if status, _, _ := o.call(http.MethodGet, "/api/analytics/summary?token="+token, ""); status != http.StatusUnauthorized {
		t.Errorf("a token in the address answered %d, want 401", status)
	}
}

func TestWithoutATokenNobodyGetsIn(t *testing.T) {
	t.Parallel()
	o := open(t, map[string]string{"BACKOFFICE_TOKEN": ""})
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer x"} {
		if status, _, _ := o.call(http.MethodGet, "/api/analytics/summary", authorization); status != http.StatusUnauthorized {
			t.Errorf("Authorization %q answered %d, want 401", authorization, status)
		}
	}
}

func TestShortTokenIsRefused(t *testing.T) {
	t.Parallel()
	f := function.New()
	environment := map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/none", "BACKOFFICE_TOKEN": "fifteen-letters"}
	if err := f.Start(t.Context(), environment); err != nil {
		t.Fatal(err)
	}
	ready, err := f.Ready(t.Context())
	if ready || err == nil || !strings.Contains(err.Error(), "BACKOFFICE_TOKEN has fewer") || strings.Contains(err.Error(), "fifteen-letters") {
		t.Errorf("Ready() = %t, %v, want it to name the variable and not the token", ready, err)
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	for _, test := range []struct {
		method, path, contentType string
		status                    int
	}{
		{http.MethodGet, "/sign-in", "text/html; charset=utf-8", http.StatusOK},
		{http.MethodHead, "/sign-in", "text/html; charset=utf-8", http.StatusOK},
		{http.MethodGet, "/api/openapi.json", "application/json", http.StatusOK},
		{http.MethodPost, "/orders", "text/html; charset=utf-8", http.StatusNotFound},
		{http.MethodDelete, "/api/analytics/summary", "application/problem+json", http.StatusMethodNotAllowed},
		{http.MethodGet, "/nothing", "text/html; charset=utf-8", http.StatusNotFound},
		{http.MethodGet, "/api/", "application/problem+json", http.StatusNotFound},
	} {
		status, header, _ := o.call(test.method, test.path, "Bearer "+token)
		if status != test.status || header.Get("Content-Type") != test.contentType {
			t.Errorf("%s %s = %d %s, want %d %s", test.method, test.path, status, header.Get("Content-Type"), test.status, test.contentType)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s %s: %s = %q, want %q", test.method, test.path, name, got, want)
			}
		}
		if !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s %s: Content-Security-Policy = %q", test.method, test.path, header.Get("Content-Security-Policy"))
		}
	}
}

func TestPeriodsThatAreRefused(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	for query, want := range map[string]string{
		"from=yesterday&to=tomorrow": `[{"parameter":"from"`,
		"from=yesterday":             `[{"parameter":"from"`,
		"to=2026-11-22":              `[{"parameter":"to"`,
		"from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z":   `before the end`,
		"from=2026-01-01T00:00:00Z&to=2026-11-21T00:00:00Z":   `92 days`,
		"from=2026-11-21T00:00:00+00:00":                      `This must be a time`, // an unescaped plus is a space
		"from=%00&to=%ff":                                     `This must be a time`,
		"from=" + strings.Repeat("9", 5000):                   `This must be a time`,
		"to=2026-11-22T00:00:00Z&from=2026-11-22T00:00:00.5Z": `before the end`,
		"to=0000-01-01T00:00:00Z":                             `[{"parameter":"to"`,
		"to=0001-01-01T00:00:00Z":                             `[{"parameter":"from"`,
		"from=9999-12-31T23:59:59Z&to=9999-12-31T23:59:59.9Z": `in the years 1 to 9998`,
	} {
		status, header, body := o.call(http.MethodGet, "/api/analytics/summary?"+query, "Bearer "+token)
		if status != http.StatusUnprocessableEntity || !strings.Contains(string(body), want) || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("summary?%.80s answered %d %s, want 422 with %s", query, status, body, want)
		}
	}
	if status, _, body := o.call(http.MethodGet, "/api/analytics/summary?from=a&to=b", "Bearer "+token); strings.Count(string(body), `"parameter"`) != 2 {
		t.Errorf("two wrong parameters answered %d %s, want both to be named", status, body)
	}
}

func TestDatabaseDownIs503(t *testing.T) {
	t.Parallel()
	o := open(t, map[string]string{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"})
	status, header, body := o.call(http.MethodGet, "/api/analytics/summary", "Bearer "+token)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || strings.Contains(string(body), "127.0.0.1") {
		t.Errorf("answered %d %s, want 503 that says nothing of the database", status, body)
	}
}

func TestNothingHappened(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	_, _, body := o.call(http.MethodGet, "/api/analytics/summary", "Bearer "+token)
	want := `"totals":{"orders_placed":0,"orders_shipped":0,"orders_cancelled":{},"items_sold":{"total":0},"revenue":{},"items_returned":{"total":0},"refunded":{}},"per_minute":[],"per_hour":[]}`
	if !strings.Contains(string(body), want) {
		t.Errorf("summary = %s, want %s", body, want)
	}
	summary := o.summary("")
	if length := summary.To.Sub(summary.From); length < 24*time.Hour || length > 24*time.Hour+2*time.Minute {
		t.Errorf("the period is %s long, want a day", length)
	}
}

func TestPeriodIncludesItsBeginningAndNotItsEnd(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	ten := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for minute := range 4 {
		o.count(ten.Add(time.Duration(minute)*time.Minute), "orders_placed", "", minute, 1)
	}
	got := o.summary("from=2026-11-22T10:01:00Z&to=2026-11-22T10:03:00Z")
	if got.Totals.OrdersPlaced != 2 || len(got.PerMinute) != 2 || len(got.PerHour) != 1 || !got.PerHour[0].Start.Equal(ten) {
		t.Errorf("summary = %+v, want the two minutes from 10:01", got)
	}
}

// Random counts on all shards over ten days: whatever is asked for, the figures
// are the fold of what was counted.
func TestFiguresAreTheFold(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	kinds := []struct{ metric, dimension string }{
		{"orders_placed", ""}, {"orders_shipped", ""}, {"orders_cancelled", "out_of_stock"}, {"orders_cancelled", "customer_request"},
		{"items_sold", "CUP"}, {"items_sold", "LAMP"}, {"revenue", "EUR"}, {"revenue", "USD"},
	}
	type counted struct {
		at    time.Time
		kind  int
		value int64
	}
	var all []counted
	for range 600 {
		c := counted{begin.Add(time.Duration(random.IntN(10*24*60)) * time.Minute), random.IntN(len(kinds)), 1 + random.Int64N(1000)}
		all = append(all, c)
		o.count(c.at, kinds[c.kind].metric, kinds[c.kind].dimension, random.IntN(16), c.value)
	}
	for range 20 {
		from := begin.Add(time.Duration(random.IntN(9*24*60)) * time.Minute)
		to := from.Add(time.Duration(1+random.IntN(3*24*60)) * time.Minute)
		want := map[string]int64{}
		for _, c := range all {
			if !c.at.Before(from) && c.at.Before(to) {
				want[kinds[c.kind].metric+" "+kinds[c.kind].dimension] += c.value
			}
		}
		got := o.summary("from=" + from.Format(time.RFC3339) + "&to=" + to.Format(time.RFC3339))
		if diff := cmp.Diff(want, flat(got.Totals)); diff != "" {
			t.Errorf("totals from %s to %s (-want +got):\n%s", from, to, diff)
		}
		if diff := cmp.Diff(want, sum(got.PerHour)); diff != "" {
			t.Errorf("hours from %s to %s (-want +got):\n%s", from, to, diff)
		}
		if short := to.Sub(from) <= 24*time.Hour; short != (got.PerMinute != nil) {
			t.Errorf("from %s to %s: minutes = %v", from, to, got.PerMinute)
		} else if diff := cmp.Diff(want, sum(got.PerMinute)); short && diff != "" {
			t.Errorf("minutes from %s to %s (-want +got):\n%s", from, to, diff)
		}
	}
}

// flat writes figures as the metrics and dimensions they come from, without zeros.
func flat(f analytics.Figures) map[string]int64 {
	all := map[string]int64{"orders_placed ": f.OrdersPlaced, "orders_shipped ": f.OrdersShipped}
	for reason, n := range f.OrdersCancelled {
		all["orders_cancelled "+reason] = n
	}
	for currency, n := range f.Revenue {
		all["revenue "+currency] = n
	}
	for sku, n := range f.ItemsSold {
		if sku != "total" {
			all["items_sold "+sku] = n
		}
	}
	maps.DeleteFunc(all, func(_ string, n int64) bool { return n == 0 })
	return all
}

func sum(buckets []analytics.Bucket) map[string]int64 {
	all := map[string]int64{}
	for _, bucket := range buckets {
		for name, n := range flat(bucket.Figures) {
			all[name] += n
		}
	}
	return all
}
