package conformance

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkasink"
)

const structuredJSON = "application/cloudevents+json"

// call sends a request with "name: value" headers and returns the response,
// whose body has been read.
func call(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("make request: %v", err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: read answer: %v", method, url, err)
	}
	return response, string(answer)
}

// attributes are the headers of a small binary event.
func attributes(id string, more ...string) []string {
	return append([]string{"ce-specversion: 1.0", "ce-id: " + id, "ce-source: /s", "ce-type: t"}, more...)
}

func testIngressStatus(t *testing.T, target Target) {
	here, nowhere := target.Binary.Path(), "/no/such"
	structured := `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		want               int
	}{
		"binary":                 {"POST", here, "x", attributes("1"), 202},
		"trailing slash":         {"POST", here + "/", "x", attributes("1"), 202},
		"no body":                {"POST", here, "", attributes("1"), 202},
		"structured":             {"POST", here, structured, []string{"content-type: " + structuredJSON}, 202},
		"structured with more":   {"POST", here, structured, []string{"content-type: " + structuredJSON + "; charset=utf-8"}, 202},
		"alive":                  {"GET", "/healthz", "", nil, 200},
		"ready":                  {"GET", "/readyz", "", nil, 200},
		"GET":                    {"GET", here, "", nil, 405},
		"HEAD":                   {"HEAD", here, "", nil, 405},
		"PUT":                    {"PUT", here, "x", attributes("1"), 405},
		"DELETE of nothing":      {"DELETE", nowhere, "", nil, 405},
		"OPTIONS":                {"OPTIONS", here, "", nil, 405},
		"no such sink":           {"POST", nowhere, "x", attributes("1"), 404},
		"no such sink, no event": {"POST", nowhere, "x", nil, 404},
		"root":                   {"POST", "/", "x", attributes("1"), 404},
		"below":                  {"POST", here + "/more", "x", attributes("1"), 404},
		"POST to health":         {"POST", "/healthz", "x", attributes("1"), 404},
		"no event":               {"POST", here, "x", []string{"content-type: text/plain"}, 400},
		"no source":              {"POST", here, "x", []string{"ce-specversion: 1.0", "ce-id: 1", "ce-type: t"}, 400},
		"no type":                {"POST", here, "x", []string{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /s"}, 400},
		"two slashes":            {"POST", here + "//", "x", attributes("1"), 404},
		"JSON, unknown version":  {"POST", here, `{"specversion":"9.9","id":"1","source":"/s","type":"t"}`, []string{"content-type: " + structuredJSON}, 400},
		"batch that says binary": {"POST", here, "[]", attributes("1", "content-type: application/cloudevents-batch+json"), 400},
		"no id":                  {"POST", here, "x", attributes("")[:1], 400},
		"unknown version":        {"POST", here, "x", attributes("1", "ce-specversion: 9.9"), 400},
		"bad time":               {"POST", here, "x", attributes("1", "ce-time: yesterday"), 400},
		"broken JSON":            {"POST", here, `{"id":`, []string{"content-type: " + structuredJSON}, 400},
		"JSON without type":      {"POST", here, `{"specversion":"1.0","id":"1","source":"/s"}`, []string{"content-type: " + structuredJSON}, 400},
		"batch":                  {"POST", here, "[" + structured + "]", []string{"content-type: application/cloudevents-batch+json"}, 400},
		"probe":                  {"GET", here, "", []string{"k-network-probe: probe", "k-network-hash: h"}, 200},
		"probe of nothing":       {"GET", nowhere, "", []string{"k-network-probe: probe"}, 404},
	} {
		target.sub(t, name, func(t *testing.T) {
			response, body := call(t, test.method, target.Ingress+test.path, test.body, test.headers...)
			if response.StatusCode != test.want {
				t.Errorf("status = %d, want %d", response.StatusCode, test.want)
			}
			if test.want == http.StatusAccepted && body != "" {
				t.Errorf("202 with a body: %q", body)
			}
		})
	}
}

// find reads a sink's topic until it meets the event with an id.
func find(t *testing.T, target Target, sink kafkasink.Sink, matches func(*kgo.Record) bool) *kgo.Record {
	t.Helper()
	k := connect(t, target, kgo.ConsumeTopics(sink.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	timeout := time.After(target.Patience)
	for {
		fetches := k.client.PollFetches(t.Context())
		for record := range fetches.RecordsAll() {
			if matches(record) {
				return record
			}
		}
		select {
		case <-timeout:
			t.Fatalf("record not in topic %s within %s", sink.Topic, target.Patience)
		default:
		}
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func testBinaryRecord(t *testing.T, target Target) {
	post := func(t *testing.T, body string, headers ...string) {
		t.Helper()
		if response, _ := call(t, "POST", target.Ingress+target.Binary.Path(), body, headers...); response.StatusCode != http.StatusAccepted {
			t.Errorf("status = %d", response.StatusCode)
		}
	}
	stored := func(t *testing.T, id string) *kgo.Record {
		t.Helper()
		return find(t, target, target.Binary, func(r *kgo.Record) bool { return header(r, "ce_id") == id })
	}
	target.sub(t, "headers, key and value", func(t *testing.T) {
		id, key := uuid.NewString(), uuid.NewString()
		post(t, `{"a":1}`, attributes(id, "Ce-PartitionKey: "+key,
			"ce-time: 2026-01-02T03:04:05Z", "content-type: application/json", "x-other: dropped")...)
		got := stored(t, id)
		headers := map[string]string{}
		for _, h := range got.Headers {
			headers[h.Key] = string(h.Value)
		}
		if diff := cmp.Diff(map[string]string{
			"ce_specversion": "1.0", "ce_id": id, "ce_source": "/s", "ce_type": "t",
			"ce_time": "2026-01-02T03:04:05Z", "ce_partitionkey": key, "content-type": "application/json",
		}, headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if string(got.Key) != key || string(got.Value) != `{"a":1}` {
			t.Errorf("key %q, value %q", got.Key, got.Value)
		}
	})
	target.sub(t, "the same event twice is two records", func(t *testing.T) {
		id := uuid.NewString()
		post(t, "x", attributes(id, "ce-partitionkey: "+id)...)
		post(t, "x", attributes(id, "ce-partitionkey: "+id)...)
		first := stored(t, id)
		twin := find(t, target, target.Binary, func(r *kgo.Record) bool {
			return header(r, "ce_id") == id && (r.Offset != first.Offset || r.Partition != first.Partition)
		})
		if twin.Partition != first.Partition {
			t.Errorf("the same key is in partitions %d and %d", first.Partition, twin.Partition)
		}
	})
	target.sub(t, "neither key nor data", func(t *testing.T) {
		id := uuid.NewString()
		post(t, "", attributes(id)...)
		if r := stored(t, id); r.Key != nil || len(r.Value) != 0 {
			t.Errorf("key %q, value %q", r.Key, r.Value)
		}
	})
	target.sub(t, "from a structured request", func(t *testing.T) {
		id := uuid.NewString()
		post(t, fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/s","type":"t","partitionkey":"k","datacontenttype":"application/json","data":{"a":1}}`, id),
			"content-type: "+structuredJSON)
		r := stored(t, id)
		if string(r.Key) != "k" || header(r, "content-type") != "application/json" || string(r.Value) != `{"a":1}` {
			t.Errorf("key %q, content-type %q, value %q", r.Key, header(r, "content-type"), r.Value)
		}
	})
}

func testStructuredRecord(t *testing.T, target Target) {
	id := uuid.NewString()
	call(t, "POST", target.Ingress+target.Structured.Path(), `{"a":1}`,
		attributes(id, "ce-partitionkey: k", "content-type: application/json")...)
	got := find(t, target, target.Structured, func(r *kgo.Record) bool { return strings.Contains(string(r.Value), id) })
	if len(got.Headers) != 1 || !strings.HasPrefix(header(got, "content-type"), structuredJSON) {
		t.Errorf("headers = %v", got.Headers)
	}
	if string(got.Key) != "k" || !strings.Contains(string(got.Value), `"data":{"a":1}`) {
		t.Errorf("key %q, value %s", got.Key, got.Value)
	}
}

// testSize has a record just below the producer's limit, and two above.
func testSize(t *testing.T, target Target) {
	const mebibyte = 1 << 20
	for size, want := range map[int]int{
		mebibyte - 512: http.StatusAccepted,
		mebibyte:       http.StatusServiceUnavailable,
		2 * mebibyte:   http.StatusServiceUnavailable,
	} {
		target.sub(t, fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			response, _ := call(t, "POST", target.Ingress+target.Binary.Path(), strings.Repeat("x", size), attributes("big")...)
			if response.StatusCode != want {
				t.Errorf("status = %d, want %d", response.StatusCode, want)
			}
		})
	}
}

// testExtensions has extensions that aren't text.
func testExtensions(t *testing.T, target Target) {
	id := uuid.NewString()
	call(t, "POST", target.Ingress+target.Binary.Path(),
		fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/s","type":"t","flag":true,"count":7,"text":"t"}`, id),
		"content-type: "+structuredJSON)
	got := find(t, target, target.Binary, func(r *kgo.Record) bool { return header(r, "ce_id") == id })
	for name, want := range map[string]string{"ce_flag": "true", "ce_count": "7", "ce_text": "t"} {
		if value := header(got, name); value != want {
			t.Errorf("%s = %q, want %q", name, value, want)
		}
	}
}

// testRecordTime has an event of the past, in a record of now.
func testRecordTime(t *testing.T, target Target) {
	id := uuid.NewString()
	call(t, "POST", target.Ingress+target.Binary.Path(), "x", attributes(id, "ce-time: 2001-02-03T04:05:06+02:00")...)
	got := find(t, target, target.Binary, func(r *kgo.Record) bool { return header(r, "ce_id") == id })
	at, err := time.Parse(time.RFC3339, header(got, "ce_time"))
	if want := time.Date(2001, 2, 3, 2, 5, 6, 0, time.UTC); err != nil || !at.Equal(want) {
		t.Errorf("ce_time = %q, want the same instant as %s", header(got, "ce_time"), want)
	}
	if got.Timestamp.Year() < 2020 {
		t.Errorf("the record is of %s", got.Timestamp)
	}
}
