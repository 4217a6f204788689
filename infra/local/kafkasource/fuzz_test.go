package kafkasource

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzMessage makes a request of any record. There always is one, it can be sent, and
// it arrives with the record's value.
func FuzzMessage(f *testing.F) {
	const head = "ce_specversion: 1.0\nce_id: 1\nce_source: /s\nce_type: t\n"
	for _, headers := range []string{
		"", head, head + "ce_x: \r\nInjected: yes\n", head + "ce_x: \xff\x00\x7f\n", "content-type: \r\n\n", "content-type: \xff\n", "content-type: application/cloudevents+json\n",
		head + "ce_id: \n", head + "ce_: x\n", "\x00: \x00\n", "x-y: ü\n", head + "ce_host: x\nce_content-length: 5\n", head + "ce_subject: Ünï %41 \"\n", "name: " + strings.Repeat("v", 70000),
	} {
		for _, value := range []string{"", "{}", "\xff\x00", `{"specversion":"1.0","id":"\r\n","source":"/s","type":"t","x":"\u0000"}`} {
			f.Add(headers, []byte("key"), []byte(value))
		}
	}
	f.Add("", []byte("\r\n\x00\xff"), []byte("x"))
	var got []byte
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Injected") != "" {
			panic("a value has become a header")
		}
		got, _ = io.ReadAll(r.Body)
	}))
	server.Config.MaxHeaderBytes = 16 << 20
	server.Start()
	f.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, headers string, key, value []byte) {
		record := &kgo.Record{Topic: "topic", Key: key, Value: value, Timestamp: time.Unix(0, 0)}
		for line := range strings.Lines(headers) {
			name, content, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(content)})
		}
		if len(headers) > 200_000 {
			return // more than any server takes
		}
		made, err := Source{Namespace: "n", Name: "s"}.message(record)
		if err != nil {
			t.Fatalf("%q %q %q: no request: %v", headers, key, value, err)
		}
		response, err := http.DefaultTransport.RoundTrip(made.request(t.Context(), to))
		if err != nil {
			t.Fatalf("%q %q %q can't be sent: %v", headers, key, value, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || !bytes.Equal(got, made.body) {
			t.Errorf("%q %q %q arrives as %q, %s", headers, key, value, got, response.Status)
		}
	})
}

// FuzzParseDuration reads what may be a duration. One that is can be waited for.
func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"PT0.2S", "P1DT12H", "PT", "P", "", "PT3276.7S", "PT3277S", "P3276DT3276H3276M3276S", "PT-1S", "PT1e3S", "PT0.0000000001S", "P1Y", "PT1,5S", "PT٣S"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDuration(text)
		if err == nil && (got < 0 || got > 4*3277*24*time.Hour) {
			t.Errorf("%q is %s", text, got)
		}
		if err == nil && !strings.HasPrefix(text, "P") {
			t.Errorf("%q is a duration, %s", text, got)
		}
	})
}

// However often an event was tried, the next wait is none shorter, and none of less
// than nothing.
func TestBackoffNeverWraps(t *testing.T) {
	t.Parallel()
	for _, linear := range []bool{false, true} {
		for _, delay := range []time.Duration{1, time.Millisecond, 200 * time.Millisecond, time.Hour, math.MaxInt64} {
			p, before := policy{delay: delay, linear: linear}, time.Duration(0)
			for n := range 5000 {
				if next := p.backoff(n); next < before {
					t.Fatalf("%s, linear %t: %s after attempt %d, and %s before", delay, linear, next, n, before)
				} else {
					before = next
				}
			}
		}
	}
}
