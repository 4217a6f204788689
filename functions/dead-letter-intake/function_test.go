package function_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	function "github.com/orderflow-project/orderflow/functions/dead-letter-intake"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// start runs the function on a database of its own.
func start(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	pool = postgrestest.New(t)
	return stagetest.Run(t, function.New(), map[string]string{"DATABASE_URL": pool.Config().ConnString()}), pool
}

// headers of an event that inventory-update has refused, as KafkaSource sends
// it to the dead letter sink.
func headers() map[string]string {
	return map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "0198/payment-verified", "Ce-Source": "/orderflow/payment-verification",
		"Ce-Type": "orderflow.payment.verified.v1", "Ce-Subject": "0198", "Content-Type": "application/json",
		"Ce-Knativeerrordest": "http://inventory-update.orderflow.svc.cluster.local/", "Ce-Knativeerrorcode": "422",
		"Ce-Knativeerrordata": base64.StdEncoding.EncodeToString([]byte("no such order\n")),
	}
}

func with(changes ...string) map[string]string {
	changed := headers()
	for i := 0; i < len(changes); i += 2 {
		changed[changes[i]] = changes[i+1]
		if changes[i+1] == "" {
			delete(changed, changes[i])
		}
	}
	return changed
}

func post(t *testing.T, url string, header map[string]string, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Errorf("post: %v", err)
		return 0, ""
	}
	defer response.Body.Close() //nolint:errcheck // read to the end below
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("read answer: %v", err)
	}
	return response.StatusCode, string(answer)
}

func mustKeep(t *testing.T, url string, header map[string]string, body string) {
	t.Helper()
	if status, answer := post(t, url, header, body); status != http.StatusNoContent {
		t.Errorf("answered %d %s, want 204", status, answer)
	}
}

// letter is a row of dead_letters.
type letter struct {
	EventID, EventSource, EventType, Subject string
	ErrorDest, ErrorCode, ErrorData          string
	Event                                    []byte
	State                                    string
	Times                                    int
	FirstAt, LastAt                          time.Time
}

func letters(t *testing.T, pool *pgxpool.Pool) []letter {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select event_id, event_source, event_type, subject, error_dest, error_code,
		error_data, event, state, times, first_at, last_at from dead_letters order by id`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[letter])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestKeepsAnEventWithItsReason(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	mustKeep(t, url, headers(), `{"order_id":"0198","a":[1,2]}`)
	all := letters(t, pool)
	if len(all) != 1 {
		t.Fatalf("%d dead letters, want 1", len(all))
	}
	got := all[0]
	var kept cloudevents.Event
	if err := json.Unmarshal(got.Event, &kept); err != nil {
		t.Fatalf("read the kept event: %v", err)
	}
	if err := kept.Validate(); err != nil || string(kept.Data()) != `{"order_id":"0198","a":[1,2]}` || kept.Extensions()["knativeerrorcode"] != "422" {
		t.Errorf("kept %s (%v), want the event as it came", got.Event, err)
	}
	want := letter{
		EventID: "0198/payment-verified", EventSource: "/orderflow/payment-verification", EventType: "orderflow.payment.verified.v1",
		Subject: "0198", ErrorDest: "http://inventory-update.orderflow.svc.cluster.local/", ErrorCode: "422",
		ErrorData: "no such order\n", State: "open", Times: 1,
		Event: got.Event, FirstAt: got.FirstAt, LastAt: got.FirstAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
}

func TestStructuredMode(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	mustKeep(t, url, map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"},
		`{"specversion":"1.0","id":"1","source":"/a","type":"b","data":{"c":1},"knativeerrorcode":500,"knativeerrordest":"d","knativeerrordata":"not base64!"}`)
	got := letters(t, pool)[0]
	if got.EventID != "1" || got.ErrorCode != "500" || got.ErrorDest != "d" || got.ErrorData != "not base64!" {
		t.Errorf("dead letter = %+v", got)
	}
}

// The same event that fails again at the same place is the same letter; at
// another place it is another.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	mustKeep(t, url, headers(), `{}`)
	mustKeep(t, url, with("Ce-Knativeerrorcode", "503", "Ce-Knativeerrordata", ""), `{}`)
	mustKeep(t, url, with("Ce-Knativeerrordest", "http://order-analytics/"), `{}`)
	all := letters(t, pool)
	if len(all) != 2 || all[0].Times != 2 || all[0].ErrorCode != "503" || all[0].ErrorData != "" || all[1].Times != 1 {
		t.Errorf("dead letters = %+v, want the first twice and the second once", all)
	}
	if !all[0].LastAt.After(all[0].FirstAt) {
		t.Errorf("last at %s, first at %s", all[0].LastAt, all[0].FirstAt)
	}
	for state, want := range map[string]string{"redriven": "open", "discarded": "discarded"} {
		if _, err := pool.Exec(t.Context(), `update dead_letters set state = $1`, state); err != nil {
			t.Fatal(err)
		}
		mustKeep(t, url, headers(), `{}`)
		if got := letters(t, pool)[0].State; got != want {
			t.Errorf("a %s letter that came again is %s, want %s", state, got, want)
		}
	}
}

// The topic read again from its beginning opens nothing that was dealt with; a
// redriven event that fails again does, and so does one that came by no topic.
func TestTopicReadAgain(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	at := func(offset string) map[string]string {
		return with("Ce-Knativekafkapartition", "2", "Ce-Knativekafkaoffset", offset)
	}
	want := func(state string, times int) {
		t.Helper()
		all := letters(t, pool)
		if len(all) != 1 || all[0].State != state || all[0].Times != times {
			t.Errorf("letters = %+v, want one, %s, that came %d times", all, state, times)
		}
	}
	redrive := func() {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `update dead_letters set state = 'redriven'`); err != nil {
			t.Fatal(err)
		}
	}
	mustKeep(t, url, at("7"), `{}`)
	mustKeep(t, url, at("7"), `{}`)
	want("open", 1)
	redrive()
	mustKeep(t, url, at("7"), `{}`)
	want("redriven", 1)
	mustKeep(t, url, at("8"), `{}`)
	want("open", 2)
	redrive()
	mustKeep(t, url, at("7"), `{}`)
	mustKeep(t, url, at("8"), `{}`)
	want("redriven", 2)
	mustKeep(t, url, headers(), `{}`)
	want("open", 3)
}

// Whoever forges a letter, before the real one or after it, hides nothing.
func TestAnotherBodyIsAnotherLetter(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	for name, bodies := range map[string][]string{
		"forged-first": {`{"forged":true}`, `{"real":true}`},
		"forged-later": {`{"real":true}`, `{"forged":true}`},
		"forged-twice": {`{"forged":true}`, `{"real":true}`, `{"forged":{"again":true}}`},
	} {
		header := with("Ce-Source", "/"+name)
		mustKeep(t, url, header, bodies[0])
		if _, err := pool.Exec(t.Context(), `update dead_letters set state = 'discarded' where event_source = $1`, "/"+name); err != nil {
			t.Fatal(err)
		}
		for _, body := range append(bodies[1:], bodies...) {
			header["Ce-Knativeerrorcode"] += "0" // differs from one delivery to the next
			mustKeep(t, url, header, body)
		}
		var got []letter
		for _, one := range letters(t, pool) {
			if one.EventSource == "/"+name {
				got = append(got, one)
			}
		}
		if len(got) != len(bodies) {
			t.Fatalf("%s: %d dead letters, want %d", name, len(got), len(bodies))
		}
		for i, one := range got {
			wantWhole(t, one.Event, bodies[i])
			if id := headers()["Ce-Id"]; one.Times != 2 || !strings.HasPrefix(one.EventID, id) || (one.EventID == id) != (i == 0) {
				t.Errorf("%s: dead letter %d = %+v, want it twice, the first with the event's id", name, i, one)
			}
			if want := map[bool]string{true: "discarded", false: "open"}[i == 0]; one.State != want {
				t.Errorf("%s: dead letter %d is %s, want %s", name, i, one.State, want)
			}
		}
	}
}

// The name that the real letter would get may be forged as well.
func TestForgedNames(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	mustKeep(t, url, headers(), `{"forged":1}`)
	mustKeep(t, url, headers(), `{"real":true}`)
	both := letters(t, pool)
	if len(both) != 2 {
		t.Fatalf("%d dead letters, want 2", len(both))
	}
	second := both[1].EventID
	if _, err := pool.Exec(t.Context(), `delete from dead_letters where event_id = $1`, second); err != nil {
		t.Fatal(err)
	}
	mustKeep(t, url, with("Ce-Id", second), `{"forged":2}`)
	mustKeep(t, url, headers(), `{"real":true}`)
	mustKeep(t, url, headers(), `{"real":true}`)
	all := letters(t, pool)
	if len(all) != 3 || all[2].Times != 2 {
		t.Fatalf("dead letters = %+v, want three, the third twice", all)
	}
	wantWhole(t, all[2].Event, `{"real":true}`)
}

func TestConcurrentForgeries(t *testing.T) {
	t.Parallel()
	const copies, bodies = 8, 3
	url, pool := start(t)
	var group sync.WaitGroup
	for i := range copies * bodies {
		group.Go(func() { mustKeep(t, url, headers(), []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}[i%bodies]) })
	}
	group.Wait()
	all := letters(t, pool)
	if len(all) != bodies {
		t.Fatalf("%d dead letters, want %d", len(all), bodies)
	}
	for _, one := range all {
		if one.Times != copies {
			t.Errorf("%s came %d times, want %d", one.Event, one.Times, copies)
		}
	}
}

func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	const copies = 20
	url, pool := start(t)
	var group sync.WaitGroup
	for range copies {
		group.Go(func() { mustKeep(t, url, headers(), `{}`) })
	}
	group.Wait()
	if all := letters(t, pool); len(all) != 1 || all[0].Times != copies {
		t.Errorf("dead letters = %+v, want one, %d times", all, copies)
	}
}

// Whatever means to be a CloudEvent is kept, and nothing of it gets lost.
func TestHostileEvents(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		header map[string]string
		body   string
	}{
		"unknown type":               {with("Ce-Type", "com.example.something"), `{}`},
		"no type":                    {with("Ce-Type", ""), `{}`},
		"no id":                      {with("Ce-Id", ""), `{}`},
		"no source":                  {with("Ce-Source", ""), `{}`},
		"source is no URI":           {with("Ce-Source", "::%zz"), `{}`},
		"no specversion":             {with("Ce-Specversion", ""), `{}`},
		"specversion of the future":  {with("Ce-Specversion", "7.0"), `{}`},
		"specversion of the past":    {with("Ce-Specversion", "0.3"), `{}`},
		"time is none":               {with("Ce-Time", "yesterday"), `{}`},
		"bad extension name":         {with("Ce-Under_score", "x"), `{}`},
		"no data":                    {headers(), ``},
		"no content type":            {with("Content-Type", ""), "\x00\x01"},
		"not JSON":                   {headers(), `{"a":`},
		"not UTF-8":                  {headers(), "{\"a\":\"\xff\xfe\"}"},
		"JSON with zero":             {headers(), `{"a":"\u0000"}`},
		"text that isn't UTF-8":      {with("Content-Type", "text/plain"), "\xff\xfe\x00"},
		"bytes":                      {with("Content-Type", "application/octet-stream"), "\x00\xff\x00"},
		"a megabyte":                 {headers(), `"` + huge + `"`},
		"deep":                       {headers(), strings.Repeat("[", 100000)},
		"attributes not UTF-8":       {with("Ce-Id", "\xff\xfe", "Ce-Subject", "\xff"), `{}`},
		"long attributes":            {with("Ce-Id", huge[:20000], "Ce-Source", "/"+huge[:20000], "Ce-Subject", huge[:20000]), `{}`},
		"long error":                 {with("Ce-Knativeerrordest", huge[:20000], "Ce-Knativeerrorcode", huge[:2000], "Ce-Knativeerrordata", huge[:40000]), `{}`},
		"error with zero":            {with("Ce-Knativeerrordata", base64.StdEncoding.EncodeToString([]byte("a\x00b\xff"))), `{}`},
		"structured, not JSON":       {map[string]string{"Content-Type": "application/cloudevents+json"}, `{"specversion":`},
		"structured, empty":          {map[string]string{"Content-Type": "application/cloudevents+json"}, ``},
		"structured, no event":       {map[string]string{"Content-Type": "application/cloudevents+json"}, `[1,2,3]`},
		"structured, zero in the id": {map[string]string{"Content-Type": "application/cloudevents+json"}, `{"specversion":"1.0","id":"a\u0000b","source":"/a","type":"b"}`},
		"batch":                      {map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[{},{}]`},
		"unknown format":             {map[string]string{"Content-Type": "application/cloudevents+avro"}, "\x00\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, pool := start(t)
			mustKeep(t, url, test.header, test.body)
			mustKeep(t, url, test.header, test.body)
			all := letters(t, pool)
			if len(all) != 1 || all[0].Times != 2 {
				t.Fatalf("%d dead letters, want one, twice", len(all))
			}
			wantWhole(t, all[0].Event, test.body)
			if len(all[0].EventID) > 512 || len(all[0].ErrorData) > 4096 || all[0].EventID == "" || all[0].EventSource == "" {
				t.Errorf("dead letter %+v: not bounded", all[0])
			}
		})
	}
}

// wantWhole checks that a document holds everything that came as data.
func wantWhole(t *testing.T, document []byte, body string) {
	t.Helper()
	var fields struct {
		Data   json.RawMessage `json:"data"`
		Base64 []byte          `json:"data_base64"`
	}
	if err := json.Unmarshal(document, &fields); err != nil {
		t.Errorf("the document isn't JSON: %v", err)
		return
	}
	var asText string
	_ = json.Unmarshal(fields.Data, &asText)
	if got := string(fields.Base64); got != body && string(fields.Data) != body && asText != body && !strings.Contains(body, `"specversion":"1.0"`) {
		t.Errorf("the document holds data %.50q, bytes %.50q, want %.50q", fields.Data, got, body)
	}
}

// Two that have no name are not taken for one another.
func TestNamelessEventsAreKeptApart(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	for _, body := range []string{`{"a":1}`, `{"a":2}`, `{"a":1}`} {
		mustKeep(t, url, with("Ce-Id", "", "Ce-Source", ""), body)
	}
	if all := letters(t, pool); len(all) != 2 || all[0].Times != 2 {
		t.Errorf("dead letters = %+v, want two, the first twice", all)
	}
}

func TestWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	url, pool := start(t)
	if status, _ := post(t, url, map[string]string{"Content-Type": "application/json"}, `{}`); status != http.StatusUnsupportedMediaType {
		t.Errorf("plain JSON was answered %d, want 415", status)
	}
	if status, _ := post(t, url, headers(), strings.Repeat(" ", 4<<20+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("more than 4 MiB was answered %d, want 413", status)
	}
	response, err := http.Get(url)
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("GET = %v, %v, want 405", response, err)
	}
	response.Body.Close() //nolint:errcheck,gosec // only the status matters
	if all := letters(t, pool); len(all) != 0 {
		t.Errorf("dead letters = %+v, want none", all)
	}
}

func TestDatabaseDownIs503(t *testing.T) {
	t.Parallel()
	url := stagetest.Run(t, function.New(), map[string]string{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"})
	if status, body := post(t, url, headers(), `{}`); status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s, want 503", status, body)
	}
}
